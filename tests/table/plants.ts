/**
 * Bugs planted into the sorted tables, each with the check that must catch it. The product contains none of them:
 * `planted.test.ts` builds a changed copy.
 */
import type { PlantedEdit } from "../harness/planted-copies.js"
import type { TABLE_CHECKS } from "./checks.js"

interface TablePlant {
  readonly bug: string
  readonly edits: readonly PlantedEdit[]
  readonly caughtBy: keyof typeof TABLE_CHECKS
}

const SUMS = {
  file: "packages/engine/src/table/run-stream.ts",
  find: "if (rows !== table.footer.rows || !sum.equals(whole)) {",
  put: "if (rows < 0) {",
}

export const TABLE_PLANTS: readonly TablePlant[] = [
  {
    bug: "blocks with a filter are not verified",
    edits: [
      {
        file: "packages/engine/src/format/tables/table-block.ts",
        find: "if (computed[i] !== bytes[hashAt + i]) return false",
        put: "if (bytes.readUInt32LE(hashAt - 4) === 0 && computed[i] !== bytes[hashAt + i]) return false",
      },
    ],
    caughtBy: "rot",
  },
  {
    bug: "checksums are not seeded by place",
    edits: [
      {
        file: "packages/engine/src/format/tables/table-block.ts",
        find: "BigInt.asUintN(64, seed + BigInt(offsetBytes))",
        put: "seed & 1n",
      },
    ],
    caughtBy: "exchanged blocks",
  },
  {
    bug: "rows are given up into files whose numbers were not reserved",
    edits: [{ file: "packages/engine/src/table/salvage.ts", find: "{ nextNumber: numbers.end }", put: "{}" }],
    caughtBy: "salvage",
  },
  {
    bug: "a block that was rebuilt is not verified",
    edits: [
      {
        file: "packages/engine/src/format/tables/table-parity.ts",
        find: "if (isWhole(block)) return block",
        put: "return block",
      },
      {
        file: "packages/engine/src/table/table.ts",
        find: "const block = rebuilt && open(rebuilt)",
        put: "const block = rebuilt",
      },
    ],
    caughtBy: "rot",
  },
  {
    bug: "a block that was rebuilt is written back to another place",
    edits: [
      {
        file: "packages/engine/src/table/table.ts",
        find: "file.write([bytes], offsetBytes)",
        put: "file.write([bytes], 0)",
      },
    ],
    caughtBy: "rot",
  },
  {
    bug: "the last page of a file has no parity",
    edits: [
      { file: "packages/engine/src/format/tables/table-parity.ts", find: "if (rest > 0) {", put: "if (rest < 0) {" },
    ],
    caughtBy: "exchanged blocks",
  },
  {
    bug: "the number of a file is used again after a crash",
    edits: [
      {
        file: "packages/engine/src/table/store-writer.ts",
        find: "nextNumber: this.nextNumber + NUMBERS_AHEAD,",
        put: "nextNumber: this.nextNumber,",
      },
      {
        file: "packages/engine/src/table/store-writer.ts",
        find: "assert(this.nextNumber <= this.manifest.nextNumber, ",
        put: "assert(true, ",
      },
      {
        file: "packages/engine/src/table/store-writer.ts",
        find: "if (this.manifest.nextNumber - this.nextNumber < NUMBERS_AHEAD / 2) ",
        put: "if (false) ",
      },
    ],
    caughtBy: "crashes",
  },
  {
    bug: "an older manifest stands in for a newer one that was finished",
    edits: [
      {
        file: "packages/engine/src/table/manifest-files.ts",
        find: "if (COPIES.every(copy => names.includes(manifestName(generation, copy)))) {",
        put: "if (generation < 0) {",
      },
    ],
    caughtBy: "older manifest",
  },
  {
    bug: "the manifest is written before its tables are durable",
    edits: [{ file: "packages/engine/src/table/table-writer.ts", find: "await open.file.sync()", put: "" }],
    caughtBy: "crashes",
  },
  {
    bug: "one copy of the manifest is not made durable before the other is begun",
    edits: [{ file: "packages/engine/src/table/manifest-files.ts", find: "await file.sync()", put: "" }],
    caughtBy: "crashes",
  },
  {
    bug: "files are removed while readers use them",
    edits: [
      {
        file: "packages/engine/src/table/store-writer.ts",
        find: "await this.replace(opened)",
        put: "await this.replace(opened)\n    await this.removeUnused()",
      },
    ],
    caughtBy: "model",
  },
  {
    bug: "a tombstone is dropped while an older version exists below",
    edits: [
      {
        file: "packages/engine/src/table/store-writer.ts",
        find: "!this.manifest.tables.some(({ level }) => level > plan.level)",
        put: "plan.level > 0",
      },
    ],
    caughtBy: "model",
  },
  {
    bug: "a delete writes no tombstone",
    edits: [
      {
        file: "packages/engine/src/table/store-writer.ts",
        find: "if (value === undefined && !mayHoldOlder) return false",
        put: "if (value === undefined) return false",
      },
    ],
    caughtBy: "model",
  },
  {
    bug: "a merge loses the rows after its position",
    edits: [
      {
        file: "packages/engine/src/table/run-stream.ts",
        find: "if (!isOver) return [{ ...entry, from: this.upTo, merged: { rows, sum } }]",
        put: "if (!isOver) return []",
      },
    ],
    caughtBy: "model",
  },
  {
    bug: "a merge loses blocks",
    edits: [
      {
        file: "packages/engine/src/table/run-stream.ts",
        find: "await reading.table.readPartition(reading.partition, this.memoryFor(reading))",
        put: "(await reading.table.readPartition(reading.partition, this.memoryFor(reading))).slice(1)",
      },
    ],
    caughtBy: "model",
  },
  {
    bug: "newer runs are added to a running merge",
    edits: [
      {
        file: "packages/engine/src/table/pick-core.ts",
        find: "(count < 0 ? oldest : oldest.slice(0, count))",
        put: "(count < -1 ? [] : oldest)",
      },
      {
        file: "packages/engine/src/table/pick-core.ts",
        find: "return rangePlan(runs, below, undefined, level, bad, limits)",
        put: "return rangePlan(runs, below, from, level, bad, limits)",
      },
    ],
    caughtBy: "model",
  },
  {
    bug: "a merge skips damaged blocks",
    edits: [
      {
        file: "packages/engine/src/table/run-stream.ts",
        find: "await reading.table.readPartition(reading.partition, this.memoryFor(reading))",
        put: "await reading.table.readPartition(reading.partition, this.memoryFor(reading)).catch(() => [])",
      },
      SUMS,
    ],
    caughtBy: "rot",
  },
  {
    bug: "dropped values are reported although they were counted",
    edits: [
      { file: "packages/engine/src/table/merge.ts", find: "(flags & ROW_FLAGS.countedOlder) === 0 && ", put: "" },
    ],
    caughtBy: "model",
  },
  {
    bug: "a commit that cannot read back its files removes them after its manifest is durable",
    edits: [
      {
        file: "packages/engine/src/table/store-writer.ts",
        find: "opened = await this.openGeneration(next, manifestHash(encoded))",
        put: "",
      },
      {
        file: "packages/engine/src/table/store-writer.ts",
        find: "await writeManifest(disk, folder, next.generation, encoded)\n    } catch",
        put: "await writeManifest(disk, folder, next.generation, encoded)\n      opened = await this.openGeneration(next, manifestHash(encoded)).catch(async (error: unknown) => {\n        await written?.abandon()\n        throw error\n      })\n    } catch",
      },
      {
        file: "packages/engine/src/table/store-writer.ts",
        find: "const isUndone = await removeGeneration(disk, folder, next.generation).then(",
        put: "const isUndone = await Promise.resolve().then(",
      },
    ],
    caughtBy: "failures",
  },
]
