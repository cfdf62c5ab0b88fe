/** The load of A in the theme `fair`, as a process of its own: `node fair-generator.js TASK`, until it is ended. */
import { runLoad } from "@hayloft/client/load/raw-load.js"
import { RequestForge } from "@hayloft/client/load/request-forge.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { requestsOf, type GeneratorTask } from "./themes/fair.js"

const clock = new RealClock()
// The parent is this same program, and has just made the task.
const task = JSON.parse(process.argv[2] ?? "") as GeneratorTask
const forge = new RequestForge(task.access, clock)
const next = requestsOf(task.kind, forge)
const plan = { endpoint: forge.endpoint, connections: task.connections, next, errorsInARowMax: Infinity, patienceMs: 0 }
await runLoad(plan, clock, new AbortController().signal)
