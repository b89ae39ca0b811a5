import type { MeshEvent, PeerInfo, Tier } from "neuromesh";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { mesh } from "./mesh";
import { TIER_NAMES, bytes, millis, short } from "./text";
import { useMesh } from "./use";

const HEIGHT = 240;
const TIERS: Tier[] = ["device", "peer", "edge", "cloud"];
const COLUMN: Record<Tier, string> = { device: "This tab", peer: "Tabs", edge: "Edge", cloud: "Cloud" };
/** Columns are not level, so that a line to one does not pass through the next. */
const SHIFT: Record<Tier, number> = { device: 0, peer: 24, edge: -8, cloud: 8 };
/** How long a request is seen on its way, in milliseconds: the real times are too short for eyes. */
const TRAVEL = 650;
/** The most dots at a time. */
const MAX_DOTS = 24;
/** The most peers drawn in a column; the table has all. */
const MAX_DRAWN = 5;

interface Dot {
  key: number;
  peer: string;
  tier: Tier;
  way: "out" | "back" | "lost";
  born: number;
}

interface Spot {
  x: number;
  y: number;
}

/** The mesh, live: peers by tier, round trips, requests on their way. */
export function PicturePanel() {
  const { id, peers, models, online } = useMesh();
  return (
    <section class="panel picture" aria-labelledby="picture-title">
      <header>
        <h2 id="picture-title">The mesh, live</h2>
        <p>{summary(peers, online)}</p>
      </header>
      <Drawing self={id} peers={peers} />
      <p class="key">
        <Stroke kind="direct" /> direct <Stroke kind="relayed" /> through a relay <Stroke kind="far" /> known through others
      </p>
      <details>
        <summary>As a table</summary>
        <div class="scroll">
          <table data-testid="peers">
            <thead>
              <tr>
                <th scope="col">Peer</th>
                <th scope="col">Tier</th>
                <th scope="col">Round trip</th>
                <th scope="col">Connection</th>
                <th scope="col">Waiting</th>
              </tr>
            </thead>
            <tbody>
              <tr>
                <td>{short(id)} (this tab)</td>
                <td>{TIER_NAMES.device}</td>
                <td>–</td>
                <td>–</td>
                <td>–</td>
              </tr>
              {peers.map((peer) => (
                <tr key={peer.id} data-testid="peer" data-tier={peer.tier} data-connected={peer.connected}>
                  <td>{short(peer.id)}</td>
                  <td>{TIER_NAMES[peer.tier]}</td>
                  <td>{peer.rttMs === null ? "–" : millis(peer.rttMs)}</td>
                  <td>{peer.connected ? (peer.path === "relayed" ? "through a relay" : "direct") : "known through others"}</td>
                  <td>{peer.queue}</td>
                </tr>
              ))}
            </tbody>
          </table>
          <table data-testid="models">
            <thead>
              <tr>
                <th scope="col">Model</th>
                <th scope="col">Size</th>
                <th scope="col">Here</th>
                <th scope="col">On peers</th>
              </tr>
            </thead>
            <tbody>
              {models.map((model) => (
                <tr key={model.digest} data-testid="model" data-name={model.name} data-local={model.local}>
                  <td>{model.name}</td>
                  <td>{bytes(model.size)}</td>
                  <td>{model.loaded ? "loaded" : model.local ? "stored" : "no"}</td>
                  <td>{model.holders.filter((holder) => holder !== id).length}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </details>
    </section>
  );
}

function Stroke({ kind }: { kind: "direct" | "relayed" | "far" }) {
  return (
    <svg width="26" height="8" aria-hidden="true">
      <line class={`link ${kind}`} x1="1" y1="4" x2="25" y2="4" />
    </svg>
  );
}

function summary(peers: PeerInfo[], online: boolean): string {
  if (!online) return "Offline: this tab works alone, and joins again when you want.";
  if (peers.length === 0) return "This tab alone so far.";
  // Those known through others are in reach through a server; without one, what is known of them is old.
  const isServer = ({ tier }: PeerInfo) => tier === "edge" || tier === "cloud";
  const hasServer = peers.some((peer) => peer.connected && isServer(peer));
  const near = peers.filter(({ connected }) => connected || hasServer);
  if (near.length === 0) return "This tab alone for now: nobody is in reach.";
  const servers = near.filter(isServer).length;
  const tabs = near.length - servers;
  const parts = [servers > 0 && plural(servers, "server"), tabs > 0 && plural(tabs, "other tab")].filter(Boolean);
  return `This tab and ${parts.join(" and ")}.`;
}

function plural(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

function Drawing({ self, peers }: { self: string; peers: PeerInfo[] }) {
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(480);
  useLayoutEffect(() => {
    const element = box.current;
    if (element === null) return;
    const observer = new ResizeObserver(() => {
      setWidth(Math.max(260, element.clientWidth));
    });
    observer.observe(element);
    return () => {
      observer.disconnect();
    };
  }, []);
  const dots = useDots();

  const column = width / TIERS.length;
  const home: Spot = { x: column / 2, y: HEIGHT / 2 + 8 };
  const spots = new Map<string, Spot>([[self, home]]);
  const drawn: PeerInfo[] = [];
  for (const tier of TIERS) {
    // Other tabs call themselves `device`; seen from here they are peers.
    const group = peers.filter((peer) => columnOf(peer) === tier).slice(0, MAX_DRAWN);
    group.forEach((peer, index) => {
      const x = column * (TIERS.indexOf(tier) + 0.5);
      spots.set(peer.id, { x, y: 40 + SHIFT[tier] + ((HEIGHT - 72) * (index + 1)) / (group.length + 1) });
      drawn.push(peer);
    });
  }
  const label = `${drawn.length + 1} peers: ${drawn.map((peer) => `${TIER_NAMES[columnOf(peer)]} ${short(peer.id)}`).join(", ") || "this tab alone"}`;
  return (
    <div ref={box} class="drawing" data-testid="picture">
      <svg width={width} height={HEIGHT} viewBox={`0 0 ${width} ${HEIGHT}`} role="img" aria-label={label}>
        {TIERS.map((tier, index) => (
          <g key={tier}>
            {index > 0 && <line class="divider" x1={column * index} x2={column * index} y1={8} y2={HEIGHT - 8} />}
            <text class="column" x={column * (index + 0.5)} y={20}>
              {COLUMN[tier]}
            </text>
          </g>
        ))}
        {drawn.map((peer) => {
          const to = spots.get(peer.id) ?? home;
          return (
            <g key={peer.id}>
              <line class={peer.connected ? `link ${peer.path}` : "link far"} x1={home.x} y1={home.y} x2={to.x} y2={to.y} />
              {peer.connected && peer.rttMs !== null && (
                <text class="rtt" x={to.x} y={to.y - 17}>
                  {millis(peer.rttMs)}
                </text>
              )}
            </g>
          );
        })}
        {dots.map((dot) => (
          <TravellingDot key={dot.key} dot={dot} home={home} away={spots.get(dot.peer) ?? home} />
        ))}
        {drawn.map((peer) => {
          const spot = spots.get(peer.id) ?? home;
          return (
            <g key={peer.id} data-testid="picture-peer" data-tier={columnOf(peer)}>
              <circle class={`node ${columnOf(peer)}`} cx={spot.x} cy={spot.y} r={9} />
              <text class="name" x={spot.x} y={spot.y + 24}>
                {short(peer.id)}
              </text>
            </g>
          );
        })}
        <circle class="node device" cx={home.x} cy={home.y} r={12} />
        <text class="name self" x={home.x} y={home.y + 30}>
          you
        </text>
      </svg>
    </div>
  );
}

function columnOf({ tier }: PeerInfo): Tier {
  return tier === "device" ? "peer" : tier;
}

/** Dots for the mesh's own events: out with a request, back with its answer, gone where it was lost. */
function useDots(): Dot[] {
  const [dots, setDots] = useState<Dot[]>([]);
  useEffect(() => {
    let next = 1;
    const timers = new Set<ReturnType<typeof setTimeout>>();
    const show = (dot: Omit<Dot, "key" | "born">, after = 0) => {
      const begin = setTimeout(() => {
        timers.delete(begin);
        const key = next++;
        setDots((before) => [...before.slice(1 - MAX_DOTS), { ...dot, key, born: Date.now() }]);
        const end = setTimeout(() => {
          timers.delete(end);
          setDots((before) => before.filter((other) => other.key !== key));
        }, TRAVEL);
        timers.add(end);
      }, after);
      timers.add(begin);
    };
    const set = new Map<number, number>();
    const on = (event: MeshEvent) => {
      if (event.type === "request") {
        set.set(event.requestId, Date.now());
        show({ peer: event.peer, tier: event.tier, way: "out" });
      } else if (event.type === "answer") {
        // The way back begins when the way out has been seen.
        const gone = Date.now() - (set.get(event.requestId) ?? 0);
        set.delete(event.requestId);
        show({ peer: event.peer, tier: event.tier, way: "back" }, Math.max(0, TRAVEL - gone));
      } else if (event.type === "retry") {
        show({ peer: event.peer, tier: "edge", way: "lost" });
      } else if (event.type === "failed") {
        set.delete(event.requestId);
      }
    };
    let off: (() => void) | undefined;
    void mesh.then(
      (joined) => (off = joined.on("*", on)),
      () => undefined,
    );
    return () => {
      off?.();
      timers.forEach(clearTimeout);
    };
  }, []);
  return dots;
}

function TravellingDot({ dot, home, away }: { dot: Dot; home: Spot; away: Spot }) {
  if (away === home) {
    return <circle class={`pulse ${dot.tier}`} cx={home.x} cy={home.y} r={12} data-testid="dot" />;
  }
  if (dot.way === "lost") {
    return <circle class="pulse lost" cx={away.x} cy={away.y} r={9} data-testid="dot" />;
  }
  const [from, to] = dot.way === "out" ? [home, away] : [away, home];
  const style = { "--dx": `${to.x - from.x}px`, "--dy": `${to.y - from.y}px` };
  return <circle class={`dot ${dot.tier}`} cx={from.x} cy={from.y} r={5} style={style} data-testid="dot" data-way={dot.way} />;
}
