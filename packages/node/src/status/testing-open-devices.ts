/** Open devices of a control record, each on a disk of its own, for tests of status. */
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import type { OpenDevice } from "./status-sources.js"

export const openFor = ({ devices }: ControlRecord): readonly OpenDevice[] =>
  devices.map(({ id, pathHint: path }) => ({
    id,
    path,
    trouble: undefined,
    checkpointError: undefined,
    deadBytes: undefined,
    volumeBytes: 0,
    logBytes: 0,
    memtableRows: 0,
    calls: { name: "calls", depth: 0, limit: 1 },
    space: {
      fileSystemId: `disk of ${id}`,
      fileSystemKind: "xfs",
      totalBytes: 1,
      freeBytes: 1,
      usableBytes: 1,
      reserveBytes: 0,
      isFull: false,
      isCritical: false,
      secondsUntilFull: undefined,
    },
  }))
