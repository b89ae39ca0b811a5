import { RouteLine } from "./route";
import { bytes } from "./text";
import { useMesh } from "./use";

/** Models on their way into this tab. */
export function Downloads() {
  const { downloads } = useMesh();
  if (downloads.length === 0) return null;
  return (
    <div class="downloads" role="status">
      {downloads.map(({ model, loaded, total }) => (
        <label key={model} data-testid="download">
          <span>
            Bringing <b>{model}</b> to this device
          </span>
          <progress max={total} value={loaded} />
          <span class="quiet">
            {bytes(loaded)} of {bytes(total)}
          </span>
        </label>
      ))}
    </div>
  );
}

/** The last requests of this page. */
export function Activity() {
  const { entries } = useMesh();
  return (
    <section class="panel activity" aria-labelledby="activity-title">
      <header>
        <h2 id="activity-title">Activity</h2>
        <p>Each request of this page: where it ran, how long it took and why there.</p>
      </header>
      {entries.length === 0 && <p class="quiet">No requests yet.</p>}
      <ol data-testid="activity">
        {entries.map(({ key, what, state, answer, error }) => (
          <li key={key} class={state} data-testid="activity-entry" data-state={state}>
            <p>{what}</p>
            {state === "running" && <p class="quiet">Under way …</p>}
            {state === "stopped" && <p class="quiet">Stopped: no longer needed.</p>}
            {answer && <RouteLine answer={answer} testid="activity-route" />}
            {error && <p class="failure">{error}</p>}
          </li>
        ))}
      </ol>
    </section>
  );
}
