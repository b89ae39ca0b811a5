import { Activity, Downloads } from "./activity";
import { FilesPanel } from "./files";
import { NotesPanel } from "./notes";
import { PicturePanel } from "./picture";
import { SwitchBar } from "./switches";
import { short } from "./text";
import { useMesh } from "./use";

export function App() {
  const { phase, failure } = useMesh();
  return (
    <>
      <header class="top">
        <div>
          <h1>
            <Mark /> Neuromesh
          </h1>
          <p>Neural models in this tab, in another one or on a server near by, whichever answers sooner. You never have to say where.</p>
        </div>
        <Status />
      </header>
      <main>
        {failure && (
          <p class="failure wide" role="alert" data-testid="failure">
            {phase === "failed" ? `This page could not start: ${failure}` : failure}
          </p>
        )}
        <SwitchBar />
        <Downloads />
        <div class="columns">
          <div class="stack">
            <NotesPanel />
            <Activity />
          </div>
          <div class="stack">
            <FilesPanel />
            <PicturePanel />
          </div>
        </div>
      </main>
    </>
  );
}

function Status() {
  const { phase, id, online, peers } = useMesh();
  const servers = peers.filter(({ tier, connected }) => connected && tier !== "device" && tier !== "peer").length;
  const state = phase !== "joined" ? phase : !online ? "offline" : servers > 0 ? "connected" : "alone";
  const texts = {
    joining: "Starting …",
    failed: "Not started",
    offline: "Offline",
    connected: servers === 1 ? "Connected to a server" : `Connected to ${servers} servers`,
    alone: "No server in reach",
  };
  return (
    <p class={`status ${state}`} role="status" data-testid="status" data-state={state}>
      <i aria-hidden="true" /> {texts[state]}
      {id !== "" && <span class="quiet"> · you are {short(id)}</span>}
    </p>
  );
}

function Mark() {
  return (
    <svg viewBox="0 0 16 16" width="22" height="22" aria-hidden="true" class="mark">
      <path d="M3.5 12 8 3.5l4.5 8.5z" />
      <circle cx="3.5" cy="12" r="2.3" />
      <circle cx="8" cy="3.5" r="2.3" />
      <circle cx="12.5" cy="12" r="2.3" />
    </svg>
  );
}
