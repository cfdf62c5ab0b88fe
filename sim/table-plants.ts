/** Planted bugs of tables of users and of inventories, which tests must catch. */
import type { Edit, TestedPlant } from "./plants.js"

const BUILD = "packages/engine/src/table-files/build-table.ts"
const FILE = "packages/engine/src/table-files/table-file.ts"
const JOBS = "packages/features/src/user-jobs/started-jobs.ts"

const plant = (bug: string, file: string, find: string, put: string, caughtBy: string): TestedPlant => ({
  bug: `tables: ${bug}`,
  edits: [{ file, find, put } satisfies Edit],
  caughtBy,
})

const TESTS = "packages/engine/src/table-files/table-file"

export const TABLE_FILE_PLANTS: readonly TestedPlant[] = [
  plant("an incomplete file is opened", FILE, "if (sizeBytes !== table.sizeBytes)", "if (sizeBytes < 0)", TESTS),
  plant(
    "damage that parity mends is not reported",
    FILE,
    "if (this.mended.size === 0) return",
    "if (this.mended.size >= 0) return",
    TESTS,
  ),
  plant(
    "blocks of all files have the same seed",
    "packages/engine/src/format/tables/user-table.ts",
    'blocks: fileSeed("users", run)',
    "blocks: USER_END_SEED + BigInt(run > 0 ? 1 : 0)",
    TESTS,
  ),
  plant(
    "a key that is in two runs is no error",
    BUILD,
    'if (this.duplicates === "error") throw isTwice({ bytes',
    'if (this.path === "") throw isTwice({ bytes',
    TESTS,
  ),
  plant(
    "the last row of a key is that of the first run",
    BUILD,
    'this.duplicates === "first" ? runs : [...runs].reverse()',
    "[...runs]",
    TESTS,
  ),
  plant("a file that exists is replaced", BUILD, "if (await disk.exists(path)) throw", 'if (path === "") throw', TESTS),
  plant(
    "the null version of a key is written where the listing has it",
    "packages/features/src/user-jobs/inventory-core.ts",
    "if (entry.versionId === NULL_VERSION) this.held = entry",
    'if (entry.versionId === NULL_VERSION && keyOfEntry(entry) === "") this.held = entry',
    "packages/features/src/user-jobs/inventory-core",
  ),
  plant(
    "the upload of a process that has ended stays",
    JOBS,
    "await work.discard(row.cursor)",
    "await Promise.resolve()",
    "packages/features/src/user-jobs/whole-work",
  ),
  plant(
    "an inventory that is there is made again",
    JOBS,
    'if (await work.isMade()) return this.end(row.id, "done")',
    "await work.isMade()",
    "packages/features/src/user-jobs/whole-work",
  ),
  plant(
    "a process that was taken for dead ends the job",
    JOBS,
    "if (!(await this.isOurs(row.id))) return",
    "await this.isOurs(row.id)",
    "packages/features/src/user-jobs/whole-work",
  ),
]
