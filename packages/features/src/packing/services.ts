/** The service of packing, by the core on which it was started. */
import { ServiceOf } from "@hayloft/objects/door/index.js"
import type { Packing } from "./packing.js"

export const PACKING_SERVICE = new ServiceOf<Pick<Packing, "set" | "setting" | "stat">>()
