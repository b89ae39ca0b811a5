import { setSwitch, type Switches } from "./mesh";
import { useMesh } from "./use";

const TEXTS: Record<keyof Switches, [title: string, hint: string]> = {
  offline: ["Offline", "Leave the network; everything goes on"],
  deviceOnly: ["This device only", "Nothing you ask leaves this tab"],
  preferEdge: ["Prefer edge", "A server answers while one is in reach"],
  neighbours: ["Neighbours", "Open tabs answer each other directly"],
};

export function SwitchBar() {
  const { switches, phase } = useMesh();
  return (
    <fieldset class="switches" disabled={phase !== "joined"}>
      <legend class="hidden">How requests travel</legend>
      {(Object.keys(TEXTS) as (keyof Switches)[]).map((name) => {
        const [title, hint] = TEXTS[name];
        const overruled = name === "preferEdge" && switches.deviceOnly;
        return (
          <label key={name} class="switch">
            <input
              type="checkbox"
              role="switch"
              data-testid={`switch-${name}`}
              checked={switches[name]}
              disabled={overruled}
              onChange={(event) => void setSwitch(name, event.currentTarget.checked)}
            />
            <span>
              <b>{title}</b>
              <small>{hint}</small>
            </span>
          </label>
        );
      })}
    </fieldset>
  );
}
