/** Planted bugs of commit timestamps on devices, and of histories, which tests must catch; for those over SQL see `tests/sql`. */
import type { Edit, TestedPlant } from "./plants.js"

const CORE = "packages/engine/src/tablet/primary-core"
const TIMESTAMPS = "packages/engine/src/tablet/timestamps-core.ts"
const HISTORY = "packages/features/src/history/history-core"
const EDITOR = "packages/objects/src/commands/row-editor-core.ts"

const plant = (bug: string, caughtBy: string, ...edits: readonly Edit[]): TestedPlant => ({ bug, edits, caughtBy })

export const TIMESTAMP_PLANTS: readonly TestedPlant[] = [
  plant("timestamps are taken from the wall clock", CORE, {
    file: TIMESTAMPS,
    find: "return Math.max(Math.floor(nowMs * 1000), this.lastUs + 1)",
    put: "return Math.floor(nowMs * 1000)",
  }),
  plant("a start forgets the timestamps before", CORE, {
    file: `${CORE}.ts`,
    find: "this.closedUs = reserved ? decodeTimestamps(reserved.value) : 0",
    put: "this.closedUs = reserved ? 0 : 0",
  }),
  plant("a reservation that was abandoned counts", CORE, {
    file: `${CORE}.ts`,
    find: "    this.timestamps.forgetReservation()\n",
    put: "",
  }),
  plant("a moment is closed without waiting for commits under way", CORE, {
    file: `${CORE}.ts`,
    find: "this.hold(new Answer(this.headPosition, settle, us, undefined))",
    put: "settle.resolve(us)",
  }),
  plant("a decision gets the timestamp of a closed moment", CORE, {
    file: TIMESTAMPS,
    find: "this.lastUs = Math.max(this.lastUs, us)",
    put: "this.lastUs = Math.max(this.lastUs, Math.min(us, this.lastUs + 1))",
  }),
  plant("versions are ordered by the wall clock", HISTORY, {
    file: EDITOR,
    find: "const order = Math.max(commitUs, this.versions.head.lastOrder + 1)",
    put: "const order = Math.max(this.time.nowMs * 1000, this.versions.head.lastOrder + 1)",
  }),
  plant("history: a version that is removed is still shown as if it were there", HISTORY, {
    file: EDITOR,
    find: "for (const part of this.features) part.removed?.(version, this.versions.head.latestOrder)",
    put: "",
  }),
  plant("history: it is complete from the order of the removed version on", HISTORY, {
    file: `${HISTORY}.ts`,
    find: "nextOrder ?? orderAfter(view, row, order) ?? latestOrder",
    put: "order",
  }),
  plant("history: the removal of the latest version leaves it complete", HISTORY, {
    file: `${HISTORY}.ts`,
    find: "order === latestOrder ? time.commitUs : next()",
    put: "order === latestOrder ? order : next()",
  }),
  plant("history: every removal ends it", HISTORY, {
    file: `${HISTORY}.ts`,
    find: "order === latestOrder ? time.commitUs : next()",
    put: "next() > 0 ? time.commitUs : time.commitUs",
  }),
  plant("history: of two keys of one decision the last one is noted", "packages/objects/src/door/decision-rows", {
    file: "packages/objects/src/commands/finished-edits-core.ts",
    find: "return write?.value === undefined ?",
    put: "return write?.value === undefined || 1 > 0 ?",
  }),
  plant("history: a later order than the timestamp is not noted", HISTORY, {
    file: EDITOR,
    find: "if (order > commitUs) this.reordered(order)",
    put: "",
  }),
]
