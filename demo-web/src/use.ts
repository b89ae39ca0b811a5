import { useEffect, useState } from "preact/hooks";
import { current, watch, type State } from "./mesh";

/** What the page knows of the mesh, always the newest. */
export function useMesh(): State {
  const [state, setState] = useState(current());
  useEffect(() => {
    setState(current());
    return watch(setState);
  }, []);
  return state;
}
