// The public package, within reach of the tests; nothing else.
import * as neuromesh from "neuromesh";
import * as engine from "neuromesh/engine";

window.neuromesh = neuromesh;
window.engine = engine;
