/** Commands and queries of remote buckets whose pending writes are held. */
import { setSetting } from "@hayloft/objects/commands/bucket-commands-core.js"
import { holdPendingWrites, pendingHeldSince } from "@hayloft/features/remote-buckets/held-core.js"
import { commandKind, queryKind, type PlayKind } from "./scene.js"

export const REMOTE_COMMANDS: readonly PlayKind[] = [
  commandKind("SetSetting", 2, scene => setSetting(scene.bucketId(), "remote", scene.oneIn(5) ? undefined : "{}")),
  commandKind("HoldPendingWrites", 2, scene => holdPendingWrites(scene.bucketId(), scene.oneIn(2))),
]

export const REMOTE_QUERIES: readonly PlayKind[] = [
  queryKind("PendingHeldSince", scene => pendingHeldSince(scene.bucketId())),
]
