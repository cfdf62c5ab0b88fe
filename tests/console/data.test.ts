/** The pages of the console on what a store has: buckets, objects, queues, locks, transforms, remotes; and all dialogs. */
import { buckets } from "./buckets.js"
import { dialogs } from "./dialogs.js"
import { consoleSuite } from "./harness.js"
import { history } from "./history.js"
import { inventory } from "./inventory.js"
import { locks } from "./locks.js"
import { objects } from "./objects.js"
import { providerSignIn } from "./provider-sign-in.js"
import { queues } from "./queues.js"
import { remotes } from "./remotes.js"
import { transforms } from "./transforms.js"

// The last one starts the server again, with which all sessions end.
consoleSuite([buckets, objects, history, inventory, queues, locks, transforms, remotes, dialogs, providerSignIn])
