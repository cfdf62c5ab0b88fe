/** Transforms in memory, for tests of the admin API: modules are kept, and nothing is run. */
import { createHash } from "node:crypto"
import { fail } from "@hayloft/base/failures.js"
import type { ModuleName } from "@hayloft/base/ids.js"
import type { SimClock } from "@hayloft/base/seams/clock/sim.js"
import type { ModuleInfo, TransformAdmin, TransformReport } from "@hayloft/features/transforms/contract.js"

const MODULES_MAX = 3
/** How every WebAssembly module begins. */
const MAGIC = "0061736d"

export class FakeTransforms implements TransformAdmin {
  state: TransformReport = {
    threads: 2,
    running: 1,
    waiting: 4,
    versions: { svgmin: "4", image: undefined, gzip: "1", zstd: "1" },
    results: { sizeBytes: 2_048, sizeBytesMax: 1_048_576, count: 3 },
  }
  readonly #modules = new Map<ModuleName, ModuleInfo>()

  constructor(private readonly clock: SimClock) {}

  async report(): Promise<TransformReport> {
    return this.state
  }

  async modules(): Promise<readonly ModuleInfo[]> {
    return [...this.#modules.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  async putModule(name: ModuleName, code: Uint8Array, contentType: string | undefined): Promise<ModuleInfo> {
    if (Buffer.from(code.subarray(0, 4)).toString("hex") !== MAGIC)
      throw fail("invalidArgument", { message: "this is not a WebAssembly module" })
    if (!this.#modules.has(name) && this.#modules.size >= MODULES_MAX)
      throw fail("limitExceeded", { message: `a store has ${MODULES_MAX} modules at most` })
    const sha256 = createHash("sha256").update(code).digest("hex")
    const info = { name, sha256, sizeBytes: code.length, contentType, modifiedMs: this.clock.wallMs() }
    this.#modules.set(name, info)
    return info
  }

  async removeModule(name: ModuleName): Promise<void> {
    if (!this.#modules.delete(name)) throw fail("noSuchTransform", { message: `There is no transform "${name}".` })
  }
}
