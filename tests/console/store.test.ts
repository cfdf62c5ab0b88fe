/** The pages of the console on a store itself and its frame: overview, audit, identities, safety, traffic, jobs, devices. */
import { audit } from "./audit.js"
import { devices } from "./devices.js"
import { consoleSuite } from "./harness.js"
import { identities } from "./identities.js"
import { jobs } from "./jobs.js"
import { overview } from "./overview.js"
import { safety } from "./safety.js"
import { shell } from "./shell.js"
import { traffic } from "./traffic.js"
import { whatIf } from "./what-if.js"

// The last one adds a device.
consoleSuite([overview, audit, identities, safety, whatIf, shell, traffic, jobs, devices])
