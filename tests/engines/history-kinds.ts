/** Commands and queries of buckets with the setting `history`. */
import { setSetting } from "@hayloft/objects/commands/bucket-commands-core.js"
import { historySince, restartHistory } from "@hayloft/features/history/history-core.js"
import { commandKind, queryKind, type PlayKind } from "./scene.js"

export const HISTORY_COMMANDS: readonly PlayKind[] = [
  // Random settings are seldom `history`, which also needs versioning.
  commandKind("SetSetting", 3, scene => setSetting(scene.bucketId(), "history", scene.oneIn(4) ? undefined : "{}")),
  commandKind("RestartHistory", 1, scene => restartHistory(scene.bucketId())),
]

export const HISTORY_QUERIES: readonly PlayKind[] = [queryKind("HistorySince", scene => historySince(scene.bucketId()))]
