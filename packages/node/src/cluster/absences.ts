/** The facts in the control record about devices that do not answer. */
import type { BlockOptions } from "@hayloft/engine/block/index.js"
import type { RecordManager } from "../control/record-manager.js"

export const absences = (
  records: Pick<RecordManager, "record">,
  isShared: boolean,
): Pick<BlockOptions, "isExpectedBack" | "mayReturn"> => ({
  // On several nodes no scan finds what such a device misses meanwhile: only one that was offline is scanned.
  ...(isShared && {
    isExpectedBack: deviceId => records.record.devices.some(({ id, state }) => id === deviceId && state !== "offline"),
  }),
  // A disk that hangs is offline within seconds. Once its places are given to others, no layout leads to it.
  mayReturn: deviceId => records.record.devices.some(({ id }) => id === deviceId),
})
