/** The service that the operations of undelete use, by the core on which it was started. */
import { ServiceOf } from "@hayloft/objects/door/index.js"
import type { Undelete } from "./undelete.js"

export const UNDELETE_SERVICE = new ServiceOf<
  Pick<Undelete, "setUndelete" | "listDeleted" | "undelete" | "purgeDeleted">
>()
