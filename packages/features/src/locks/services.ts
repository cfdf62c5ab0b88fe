/** The coordination that the operations use, by the core of its store. There is none without `--coordination`. */
import { ServiceOf } from "@hayloft/objects/door/index.js"
import type { Coordination } from "./coordination.js"

export const LOCK_SERVICE = new ServiceOf<Pick<Coordination, "sessions" | "end" | "namespaces" | "locks" | "files">>()
