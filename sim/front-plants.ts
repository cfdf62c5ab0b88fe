/** Planted bugs of front threads and the links between threads, which tests must catch. */
import type { TestedPlant } from "./plants.js"

const LINK = "packages/engine/src/thread/link.ts"
const HOST = "packages/engine/src/thread/metadata-host.ts"
const PACKING = "packages/engine/src/thread/packing.ts"
const SHARDS = "packages/engine/src/thread/channel-shards.ts"
const LOCAL = "packages/engine/src/thread/local-reads.ts"
const METADATA = "packages/engine/src/thread/channel-metadata.ts"
const FRONTS = "packages/node/src/front/fronts.ts"
const RATES = "packages/node/src/front/front-rates.ts"
const BUDGETS = "packages/node/src/front/front-budgets.ts"
const FRONT = "packages/node/src/front/open-front.ts"

const plant = (bug: string, caughtBy: string, file: string, find: string, put: string): TestedPlant => ({
  bug: `fronts: ${bug}`,
  edits: [{ file, find, put }],
  caughtBy,
})

export const FRONT_PLANTS: readonly TestedPlant[] = [
  plant(
    "commands of a front are decided as those of the engine thread",
    "packages/node/src/front/front",
    HOST,
    "return this.command.decide(rows, { ...time, incarnations: this.incarnations })",
    "return this.command.decide(rows, time)",
  ),
  plant(
    "queries of a front see the engine thread as their own",
    "packages/engine/src/thread/channel-metadata",
    HOST,
    "return this.ofFront",
    "return this.view.incarnations",
  ),
  plant(
    "results are kept over a change of the generation",
    "packages/node/src/front/front-rows",
    METADATA,
    "      this.generation = generation\n",
    "      this.generation = generation\n      return result\n",
  ),
  plant(
    "a result that was overtaken by a change is kept",
    "packages/engine/src/thread/overtaken",
    METADATA,
    " && answer.generation === this.generation",
    "",
  ),
  plant(
    "results about objects are kept",
    "packages/engine/src/thread/channel-metadata",
    HOST,
    "if (!isOfGeneration(family)) this.reads.areOfGeneration = false",
    "",
  ),
  plant(
    "a front confirms without asking",
    "packages/node/src/front/front-rows",
    METADATA,
    "return this.link.ask(METADATA_METHODS.confirm).then(answer => this.note(answer))",
    "return Promise.resolve()",
  ),
  plant(
    "a front is over before its calls have ended",
    "packages/node/src/front/front-layouts",
    LINK,
    "if (this.underWay === 0) this.onClosed()",
    "this.onClosed()",
  ),
  plant(
    "copies of two threads are shown as those of one",
    "packages/engine/src/block/hot-copies",
    "packages/engine/src/block/hot-copies-core.ts",
    "extents.set(name, { ...one, ...all })",
    "extents.set(name, { ...one })",
  ),
  plant(
    "requests of a front that has ended keep others waiting",
    "packages/node/src/front/front-rates",
    RATES,
    "for (const id of entered.keys()) leave(id)",
    "entered.clear()",
  ),
  plant(
    "bytes of a front do not count for the limit",
    "packages/node/src/front/front-rates",
    RATES,
    "({ id, bytes }) => entered.get(id)?.move(bytes)",
    "() => undefined",
  ),
  plant(
    "a client of a front that has gone goes on waiting",
    "packages/node/src/front/front-rates",
    RATES,
    "exchange.countIn({ count: () => this.leave(id) })",
    "",
  ),
  plant(
    "work of a thread that has ended stays under way",
    "packages/node/src/front/front-budgets",
    BUDGETS,
    "for (const ended of ends.values()) ended()",
    "",
  ),
  plant(
    "a thread that has ended is granted what nobody gives back",
    "packages/node/src/front/front-budgets",
    BUDGETS,
    "if (isOver) ended()\n          else ends.set(id, ended)",
    "ends.set(id, ended)",
  ),
  plant(
    "tasks of transforms are not counted for all threads",
    "packages/features/src/transforms/transforms",
    "packages/features/src/transforms/transforms.ts",
    "this.tasks = budgets?.tasks ?? NO_BUDGET",
    "this.tasks = NO_BUDGET",
  ),
  plant(
    "accounts pay for what they use in one thread only",
    "packages/protocols/src/http/thread-shares-core",
    "packages/protocols/src/http/admission.ts",
    "this.places.charge(payer, times * costMs, isAll)",
    "this.places.charge(payer, costMs, isAll)",
  ),
  plant(
    "a front that has ended stays live",
    "packages/node/src/front/front-deaths",
    FRONTS,
    "this.threads = withoutFront(this.threads, front.incarnation)",
    "",
  ),
  plant(
    "a closed link leaves its calls without an answer",
    "packages/engine/src/thread/link",
    LINK,
    "for (const { changes, reject } of this.waiting.values()) {",
    "for (const { changes, reject } of [...this.waiting.values()].slice(1)) {",
  ),
  plant(
    "a command whose answer is lost counts as refused",
    "packages/engine/src/thread/channel-metadata",
    LINK,
    "reject(changes ? ",
    "reject(!changes ? ",
  ),
  plant(
    "calls that came with the end of a link are begun",
    "packages/engine/src/thread/link",
    LINK,
    "    if (this.isClosed) return\n    if (envelope.kind",
    "    if (envelope.kind",
  ),
  plant(
    "the collector does not ask fronts",
    "packages/node/src/front/front-pins",
    "packages/node/src/engine.ts",
    "oldestPinOfOthers: fronts?.oldestPin,",
    "",
  ),
  plant(
    "a front does not tell of its readers",
    "packages/node/src/front/front-pins",
    FRONT,
    "return services.core.pins.oldest()",
    "return Number.MAX_SAFE_INTEGER",
  ),
  plant(
    "bytes are removed while a front does not say whether it reads them",
    "packages/node/src/front/front-pins",
    FRONTS,
    "return Math.min(Number.MAX_SAFE_INTEGER, ...pins)",
    "return Math.max(0, ...pins)",
  ),
  plant(
    "shards move before fronts follow the layout",
    "packages/node/src/front/front-layouts",
    FRONTS,
    "Math.min(...[...this.fronts].map(({ oldestLayout }) => oldestLayout))",
    "Infinity",
  ),
  plant(
    "a front follows a layout before its blocks under the former one are written",
    "packages/node/src/front/front-layouts",
    FRONT,
    "oldestLayout: layouts.oldest }",
    "oldestLayout: layouts.current.version }",
  ),
  plant(
    "a front does not write by the layout that it follows",
    "packages/node/src/front/front-layouts",
    FRONT,
    "records.onChange(record => publishLayouts(layouts, record))",
    "",
  ),
  plant(
    "a front that has failed to follow is told nothing any more",
    "packages/node/src/front/front",
    FRONTS,
    "front.knows = knows",
    "return",
  ),
  plant(
    "changes of the record overwrite each other",
    "packages/node/src/front/front",
    FRONTS,
    "isMade = present.generation === before",
    "isMade = true",
  ),
  plant(
    "each copy of the record counts as a rotation of the master key",
    "packages/node/src/front/front-rows",
    "packages/node/src/control/follow-master-key.ts",
    "const isSame = equalBytes(record.secrets, before.secrets)",
    "const isSame = record.secrets === before.secrets",
  ),
  plant(
    "a front does not follow a rotation of the master key",
    "packages/node/src/front/front-keys",
    FRONT,
    "followMasterKey(records, masterKeys, settings.onKeyLost)",
    "",
  ),
  plant(
    "an end that came before the start of a channel is not reported",
    "packages/base/src/seams/channel/channel",
    "packages/base/src/seams/channel/real.ts",
    "if (this.isClosed) queueMicrotask(() => events.closed())",
    "if (this.isClosed) return",
  ),
  plant(
    "names of fields are taken to be sent with a message that was lost",
    "packages/engine/src/thread/packing",
    PACKING,
    "return { bytes, shapes: this.hasNew ? this.shapes : undefined }",
    "const shapes = this.hasNew ? this.shapes : undefined\n    this.hasNew = false\n    return { bytes, shapes }",
  ),
  plant(
    "files of volumes that were removed stay open",
    "packages/engine/src/thread/channel-shards",
    SHARDS,
    "if (hints.removedVolumes !== this.hints.removedVolumes) this.local.giveUp()",
    "",
  ),
  plant(
    "bytes that a front cannot read are not asked for",
    "packages/engine/src/thread/channel-shards",
    LOCAL,
    "      // The file cannot be opened, or is gone.\n      return undefined",
    "      throw new Error(folder)",
  ),
  plant(
    "a front reads all bytes through the engine thread",
    "packages/node/src/front/front-reads",
    SHARDS,
    "const here = told && (await this.local.read(id, told, range, allocate))",
    "const here = undefined",
  ),
  plant(
    "the payload of a row is asked for by itself",
    "packages/node/src/front/front-reads",
    METADATA,
    "const here = row.payload?.bytes ?? this.payloads.get(row)",
    "const here = row.payload?.bytes",
  ),
]
