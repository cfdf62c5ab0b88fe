/** Devices of a store as commands name them. */
import { resolve } from "node:path"
import { STORE_SCHEMAS, type Device } from "@hayloft/admin/index.js"
import type { AdminClient } from "@hayloft/client/index.js"
import { checked } from "../checked.js"
import { CliError } from "../exit-codes.js"
import type { CliIo } from "../io.js"

/** Long enough that a few digits typed by hand do not match another device. */
const ID_PREFIX_MIN = 4

export const devicesOf = async (client: AdminClient): Promise<readonly Device[]> =>
  checked(STORE_SCHEMAS.DEVICES, await client.get("/v1/devices")).devices

/** Returns the device that the user named, by its folder, which may be relative to the working folder, or by its id. */
export const namedDevice = (io: CliIo, devices: readonly Device[], text: string): Device =>
  findDevice(devices, text, resolve(io.workingFolder, text))

interface Findable {
  readonly id: string
  readonly path: string
  readonly node?: string | undefined
}

/**
 * Finds a device by id, by the beginning of one, by folder or NODE:FOLDER, or by folder names in its path that no other
 * device has. Throws if none or several match.
 */
export function findDevice<T extends Findable>(devices: readonly T[], text: string, path: string): T {
  const named = devices.filter(device => device.path === path || `${device.node}:${device.path}` === text)
  const exact = devices.find(({ id }) => id === text) ?? named[0]
  if (named.length > 1 && exact === named[0]) {
    throw new CliError("notFound", `"${text}" is a folder of several nodes; pass NODE:FOLDER, or the id of the device`)
  }
  if (exact !== undefined) return exact
  const inPath = text === "" ? [] : devices.filter(device => `${device.path}/`.includes(`/${text}/`))
  const [within, other] = inPath
  if (within !== undefined && other === undefined) return within
  const begun = text.length < ID_PREFIX_MIN ? [] : devices.filter(({ id }) => id.startsWith(text.toLowerCase()))
  const [found, another] = begun
  if (found !== undefined && another === undefined) return found
  const ofSeveral = another === undefined ? "is in the paths of several devices" : "matches the ids of several devices"
  const isKnown = another !== undefined || other !== undefined
  const what = isKnown ? ofSeveral : "is not a device of this store"
  throw new CliError("notFound", `"${text}" ${what}; hayloft device list shows them`)
}
