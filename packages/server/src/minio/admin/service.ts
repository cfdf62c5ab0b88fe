/** `mc admin service`: what a client may do with the process. */
import { fail } from "@hayloft/base/failures.js"
import type { MinioContext } from "./call-context.js"

const MESSAGES: Readonly<Record<string, string>> = {
  restart:
    "Hayloft does not restart itself. Restart its process (systemctl restart hayloft, docker restart): requests in progress are finished. With several machines, one after the other.",
  stop: "Hayloft is stopped by who has started it: systemctl stop hayloft, docker stop, or Ctrl-C. Requests in progress are finished.",
  freeze: "Nothing freezes requests here.",
  unfreeze: "Nothing freezes requests here.",
}

/** Throws `notImplemented`. */
export async function service(call: MinioContext): Promise<never> {
  const message = MESSAGES[call.needed("action")] ?? "There is no such action."
  throw fail("notImplemented", { message })
}
