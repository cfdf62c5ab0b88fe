/**
 * WebAssembly modules that administrators upload as steps of transforms.
 *
 * Promises  A module is stored as it was uploaded, once it has been found to be one that can be a step. A request uses the
 *           module as it was stored when the request came, also if another node has stored it.
 * Limits    TRANSFORM_LIMITS.modulesMax of moduleBytesMax each; the code of `CODES_MAX` in memory.
 */
import { createHash } from "node:crypto"
import { fail } from "@hayloft/base/failures.js"
import { parseModuleName, type ModuleName } from "@hayloft/base/ids.js"
import { NEVER } from "@hayloft/base/never.js"
import { keepLatest } from "@hayloft/base/keep-latest.js"
import { gathered, type ObjectInfo, type StoredObjects } from "@hayloft/objects/index.js"
import type { ModuleInfo } from "./contract.js"
import { TRANSFORM_LIMITS } from "./limits.js"

export const MODULES_PREFIX = "transforms/modules/"
const CODES_MAX = 8
/** Printable, since it is sent as a header. */
const CONTENT_TYPE = /^[\x21-\x7e][\x20-\x7e]{0,126}$/

export class Modules {
  /** By hash, the latest used last. */
  private readonly codes = new Map<string, Uint8Array>()

  /** `check`: what is wrong with a module; undefined: nothing. */
  constructor(
    private readonly stored: StoredObjects,
    private readonly check: (code: Uint8Array) => Promise<string | undefined>,
  ) {}

  /** By name. */
  async list(): Promise<readonly ModuleInfo[]> {
    const found: ModuleInfo[] = []
    for await (const { name } of this.stored.list()) {
      const info = await this.find(parseModuleName(name))
      if (info !== undefined) found.push(info)
    }
    return found
  }

  async find(name: ModuleName): Promise<ModuleInfo | undefined> {
    const body = await this.stored.open(name, { headersOnly: true })
    body?.close()
    return body && moduleOf(name, body.info)
  }

  /** The code of a module that was found. Throws `noSuchTransform` if it is there no more. */
  async codeOf({ name, sha256 }: ModuleInfo): Promise<Uint8Array> {
    const known = this.codes.get(sha256)
    if (known !== undefined) {
      keepLatest(this.codes, sha256, known, CODES_MAX)
      return known
    }
    const body = await this.stored.open(name)
    if (body === undefined) throw missing(name)
    const code = await gathered(body, NEVER)
    if (hashOf(code) !== sha256) throw fail("conflict", { message: `The module ${name} was replaced. Try again.` })
    keepLatest(this.codes, sha256, code, CODES_MAX)
    return code
  }

  async put(name: ModuleName, code: Uint8Array, contentType: string | undefined): Promise<ModuleInfo> {
    const { moduleBytesMax, modulesMax } = TRANSFORM_LIMITS
    if (code.length > moduleBytesMax)
      throw fail("invalidArgument", { message: `A module has at most ${moduleBytesMax} bytes.` })
    if (contentType !== undefined && !CONTENT_TYPE.test(contentType))
      throw fail("invalidArgument", { message: "The content type of a module is printable ASCII." })
    const fault = await this.check(code)
    if (fault !== undefined) throw fail("invalidArgument", { message: `The module cannot be a step: ${fault}.` })
    const others = (await this.list()).filter(each => each.name !== name)
    if (others.length >= modulesMax)
      throw fail("limitExceeded", { message: `There are ${modulesMax} modules already.` })
    const userMetadata = [["sha256", hashOf(code)], ...(contentType === undefined ? [] : [["type", contentType]])]
    await this.stored.put(name, {
      bytes: code,
      userMetadata: userMetadata.map(([key = "", value = ""]) => [key, value]),
    })
    const made = await this.find(name)
    if (made === undefined) throw missing(name)
    return made
  }

  async remove(name: ModuleName): Promise<void> {
    if ((await this.find(name)) === undefined) throw missing(name)
    await this.stored.remove(name)
  }
}

const hashOf = (code: Uint8Array): string => createHash("sha256").update(code).digest("hex")

const missing = (name: ModuleName) =>
  fail("noSuchTransform", {
    argumentName: "x-transform",
    argumentValue: name,
    message: `There is no transform "${name}".`,
  })

function moduleOf(name: ModuleName, { userMetadata, sizeBytes, lastModifiedMs }: ObjectInfo): ModuleInfo {
  const values = new Map(userMetadata)
  return {
    name,
    sizeBytes,
    modifiedMs: lastModifiedMs,
    sha256: values.get("sha256") ?? "",
    contentType: values.get("type"),
  }
}
