/** The single tablet of a machine; splits are part of the cluster. */
import { parseTabletId } from "@hayloft/base/ids.js"
import type { TabletId } from "@hayloft/base/ids.js"

export const FIRST_TABLET: TabletId = parseTabletId(1)
