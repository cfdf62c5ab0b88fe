/** The layouts of a control record, for the block layer. */
import type { Layouts } from "@hayloft/engine/block/index.js"
import { layoutOf } from "@hayloft/engine/cluster/index.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"

/** From now on blocks are written by the layout of the record. Does nothing if the layouts are those already. */
export function publishLayouts(layouts: Layouts, { layout, previousLayout }: ControlRecord): void {
  const isKnown = layouts.current.version === layout.version
  if (isKnown && (layouts.previous === undefined) === (previousLayout === undefined)) return
  layouts.publish(isKnown ? layouts.current : layoutOf(layout), previousLayout && layoutOf(previousLayout))
}
