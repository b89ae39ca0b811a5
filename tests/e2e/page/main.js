// The public package, within reach of the tests; nothing else.
import * as neuromesh from "neuromesh";

window.neuromesh = neuromesh;
