/** All features through the nodes of one store: what one node takes or keeps the others have, also when it dies meanwhile. */
import { test } from "node:test"
import { quietParent, withFolder } from "../harness/folders.js"
import { noPostgres } from "../harness/postgres.js"
import { APPENDS } from "./features/appends.js"
import { CLASSES } from "./features/classes.js"
import { CONTAINER_SYNC } from "./features/container-sync.js"
import { COORDINATION } from "./features/coordination.js"
import { COPIES } from "./features/copies.js"
import { MOMENTS } from "./features/moments.js"
import { QUEUES } from "./features/queues.js"
import { REMOTES } from "./features/remotes.js"
import { useAll, withStore } from "./features/scene.js"
import { TRANSACTIONS } from "./features/transactions.js"
import { TRANSFORMS } from "./features/transforms.js"
import { UNDELETE } from "./features/undelete.js"

const FEATURES = [
  APPENDS,
  CLASSES,
  CONTAINER_SYNC,
  COORDINATION,
  COPIES,
  MOMENTS,
  QUEUES,
  REMOTES,
  TRANSACTIONS,
  TRANSFORMS,
  UNDELETE,
]

test("each feature is the same through every node, and goes on when one dies", { skip: noPostgres }, () =>
  withFolder(folder => withStore(folder, store => useAll(store, FEATURES)), quietParent()),
)
