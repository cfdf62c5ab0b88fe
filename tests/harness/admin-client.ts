/** A client of the admin API of a server process: for tests that start jobs and set things without the command line. */
import { AdminClient } from "@hayloft/client/index.js"
import type { ServerProcess } from "./server.js"

const NEVER = new AbortController().signal

/** The caller closes it. */
export const adminOf = async (server: ServerProcess): Promise<AdminClient> =>
  new AdminClient({ endpoint: server.adminEndpoint, token: await server.adminToken() }, NEVER)

/** Gives the bucket a setting of the store's own, such as a history. */
export async function setSetting(server: ServerProcess, bucket: string, setting: string): Promise<void> {
  const admin = await adminOf(server)
  try {
    await admin.put(`/v1/buckets/${bucket}/settings/${setting}`, { value: {} })
  } finally {
    admin.close()
  }
}
