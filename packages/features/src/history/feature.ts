/** Histories of buckets: every former state of a bucket with the setting `history` can be read. See decision 89. */
import { bucketsWithSetting, type Core, ServiceOf } from "@hayloft/objects/door/index.js"
import type { ProductFeature } from "../operator/index.js"
import { Histories } from "./histories.js"
import { hasHistory, historyBegins, HistoryOfKey, historyRowsOf, restartHistory } from "./history-core.js"
import { MomentService } from "./moments.js"
import { HISTORY_OPERATOR } from "./operations.js"
import { HISTORY_SERVICES } from "./services.js"

interface HistoryServices {
  readonly histories: Histories
  readonly moments: MomentService
}

const services = new ServiceOf<HistoryServices>()

export const historyOf = (core: Core): HistoryServices => services.of(core)

export const HISTORY = {
  name: "history" as const,
  operator: HISTORY_OPERATOR,
  object: change => (change.bucket && hasHistory(change.bucket) ? new HistoryOfKey(change) : undefined),
  bucket: {
    setting: {
      name: "history",
      // Restored versions have other times.
      beginsWhenSet: true,
      excludes: [["remote", "A remote bucket has no history: others change the objects."]],
      refusal: ({ versioning }) =>
        versioning === "enabled" ? undefined : "Only a bucket whose versioning is enabled has a history.",
      begins: ({ id }, commitUs) => historyBegins(id, commitUs),
      rowsOf: historyRowsOf,
    },
    refusesVersioning: (bucket, versioning) =>
      hasHistory(bucket) && versioning !== "enabled"
        ? "The bucket has the setting history, which needs every version: remove that first."
        : undefined,
  },
  start(core) {
    const histories = new Histories(core.metadata, core.prepare)
    const started = { histories, moments: new MomentService(core.metadata) }
    services.set(core, started)
    HISTORY_SERVICES.set(core, started)
    return {}
  },
  /** All complete histories end: changes were lost. */
  async afterLoss(metadata) {
    for (const { id } of await metadata.ask(bucketsWithSetting("history"))) await metadata.run(restartHistory(id))
  },
} satisfies ProductFeature
