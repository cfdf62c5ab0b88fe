/**
 * Planted bugs: each is a small change of a source file, with the scenario that must fail and the check that must
 * catch it. The product contains none of them: `planted.ts` builds a changed copy.
 */
import type { CheckName } from "./world/checks.js"
import type { ScenarioName } from "./world/scenarios.js"

/** Scenarios of several nodes. */
export type ClusterScenario = "cluster" | "aging cluster" | "limited cluster"

export interface Edit {
  readonly file: string
  /** Occurs in the file exactly once. */
  readonly find: string
  readonly put: string
}

export interface Plant {
  readonly bug: string
  readonly edits: readonly Edit[]
  readonly scenario: ScenarioName | ClusterScenario
  /** Any of these checks may catch it: they test the same promise. */
  readonly caughtBy: readonly CheckName[]
}

/** A bug that needs a certain moment, or a look inside: tests catch it. */
export interface TestedPlant {
  readonly bug: string
  readonly edits: readonly Edit[]
  /** This test file, like `packages/engine/src/metadata/guards`, must fail. */
  readonly caughtBy: string
}

const core = "packages/engine/src/tablet/primary-core.ts"

export const PLANTS: readonly Plant[] = [
  {
    bug: "answer before the log is durable",
    edits: [{ file: core, find: "new Answer(answerAt(appended, view.saw), settle", put: "new Answer(NOTHING, settle" }],
    scenario: "cut answers",
    caughtBy: ["acknowledgedStays"],
  },
  {
    bug: "answer a refusal that was decided on an uncommitted entry",
    edits: [{ file: core, find: "const waitsFor = answerAt(NOTHING, view.saw)", put: "const waitsFor = NOTHING" }],
    scenario: "cut answers",
    caughtBy: ["refusalWasTrue"],
  },
  {
    bug: "recovery drops the last batch",
    edits: [
      {
        file: "packages/engine/src/tablet/replica.ts",
        find: "this.device.log.records(this.device.contained)",
        // The very last batch is empty; the log writes it to confirm the previous one.
        put: "this.device.log.records(this.device.contained, Math.max(this.device.contained, this.device.log.durable - 2))",
      },
    ],
    scenario: "cut answers",
    caughtBy: ["acknowledgedStays", "refusalWasTrue"],
  },
  {
    bug: "decide on what is committed instead of on head",
    edits: [
      { file: core, find: "new HeadView(this.layers, payloads)", put: "new HeadView(this.layers.slice(1), payloads)" },
    ],
    scenario: "storm on 1 device",
    caughtBy: ["oneWinner", "linearizable"],
  },
  {
    bug: "ignore a condition at the commit",
    edits: [
      {
        file: "packages/objects/src/commands/version-commands-core.ts",
        find: "checkWrite(view, put, expiryClock(time, put.clockMs))",
        put: "",
      },
    ],
    scenario: "storm on 1 device",
    caughtBy: ["oneWinner", "linearizable"],
  },
  {
    bug: "drop the frozen memtable before the checkpoint has committed",
    edits: [
      {
        file: "packages/engine/src/device/checkpoint/checkpointer.ts",
        find: "const result = await this.runs.checkpoint(",
        put: "this.rows.dropFrozen()\n    const result = await this.runs.checkpoint(",
      },
    ],
    scenario: "storm on 1 device",
    caughtBy: ["readsAreFresh", "acknowledgedStays", "refusalWasTrue", "linearizable"],
  },
  {
    bug: "place two shards of one block on one device",
    edits: [
      {
        file: "packages/engine/src/block/block-writer.ts",
        find: "const target = targets[slot]",
        put: "const target = targets[slot === 1 ? 0 : slot]",
      },
    ],
    scenario: "slots",
    caughtBy: ["oneShardPerDevice"],
  },
  {
    bug: "accept a bad shard checksum on read",
    edits: [
      {
        file: "packages/engine/src/volume/needle-read-core.ts",
        find: "if (subBlock !== undefined) throw",
        put: "if (false) throw",
      },
    ],
    scenario: "rot",
    caughtBy: ["rotIsFound"],
  },
  {
    bug: "collect bytes that a reader has pinned",
    edits: [
      {
        file: "packages/upkeep/src/garbage/collector.ts",
        find: "page.filter(({ position }) => due.isDue(position))",
        put: "page",
      },
    ],
    scenario: "slow reader",
    caughtBy: ["readersFinish"],
  },
  {
    bug: "commit an upload of an ended process",
    edits: [
      {
        file: "packages/objects/src/commands/version-commands-core.ts",
        find: "if (put.uploadId !== undefined) checkOwnUpload(time, put.uploadId)",
        put: "",
      },
    ],
    scenario: "late commit",
    caughtBy: ["foreignStaysOut"],
  },
  {
    bug: "leave the counters unchanged when a version is overwritten",
    edits: [
      {
        file: "packages/objects/src/commands/row-editor-core.ts",
        find: "this.bytesDelta -= version.head.sizeBytes",
        put: "",
      },
    ],
    scenario: "storm on 1 device",
    caughtBy: ["countersAgree"],
  },
  {
    bug: "skip the first key after a common prefix in a listing",
    edits: [
      {
        file: "packages/objects/src/queries/object-page-core.ts",
        find: "    page.passed()\n",
        put: '    page.passed()\n    rows.scan("current", { start, end: range.end }, { row: (bytes, from, to) => { start = rowKeyOf(bytes.toString("latin1", from, to) + "\\x01"); return false } })\n',
      },
    ],
    scenario: "listing",
    caughtBy: ["listingsAgree"],
  },
  {
    bug: "skip the sync of the log",
    edits: [
      {
        file: "packages/engine/src/device/log/log.ts",
        find: 'this.disk.open(path, "create", LOG_FILE)',
        put: 'this.disk.open(path, "create", { ...LOG_FILE, durable: false })',
      },
    ],
    scenario: "storm on 1 device",
    caughtBy: ["acknowledgedStays", "refusalWasTrue", "opens", "linearizable"],
  },
  {
    bug: "skip the sync of volumes",
    edits: [{ file: "packages/engine/src/volume/writer.ts", find: "durable: true", put: "durable: false" }],
    scenario: "storm on 1 device",
    caughtBy: ["acknowledgedStays", "noPartialWrites", "linearizable"],
  },
  {
    bug: "order versions by the wall clock alone",
    edits: [
      {
        file: "packages/objects/src/commands/row-editor-core.ts",
        find: "Math.max(commitUs, this.versions.head.lastOrder + 1)",
        put: "this.time.nowMs * 1000",
      },
    ],
    scenario: "clock",
    caughtBy: ["newestIsLatest"],
  },
  {
    bug: "the store's clock follows the wall clock on one machine",
    edits: [
      {
        file: "packages/objects/src/store-clock.ts",
        find: "storeMs + Math.floor(this.seams.clock.monotonicMs() - atMs)",
        put: "Math.max(storeMs, this.seams.clock.wallMs() + 0 * atMs)",
      },
    ],
    scenario: "locks and clocks",
    caughtBy: ["lockedStays"],
  },
  {
    bug: "the time in which a store was stopped does not count for its clock",
    edits: [
      {
        file: "packages/objects/src/store-clock.ts",
        find: "Math.max(1, this.shownMs, Math.floor(clock.wallMs()))",
        put: "Math.max(1, this.shownMs, 0 * clock.wallMs())",
      },
    ],
    scenario: "locks and clocks",
    caughtBy: ["locksEnd"],
  },
  {
    bug: "an erasure does not wait for devices that are offline",
    edits: [
      {
        file: "packages/node/src/erase/erasures.ts",
        find: "this.hasKeys(epoch) || this.unconfirmed(epoch).length > 0",
        put: "this.hasKeys(epoch)",
      },
    ],
    scenario: "erased buckets",
    caughtBy: ["erasedIsClosed"],
  },
  {
    bug: "an erasure does not wait for the removal of the key",
    edits: [
      {
        file: "packages/node/src/erase/erasures.ts",
        find: "this.hasKeys(epoch) || this.unconfirmed(epoch).length > 0",
        put: "epoch < 0",
      },
    ],
    scenario: "erased buckets",
    caughtBy: ["erasedIsClosed"],
  },
  {
    bug: "lifecycle counts days by the wall clock",
    edits: [
      {
        file: "packages/objects/src/due-time.ts",
        find: "Math.min(clockMs, clock.wallMs())",
        put: "Math.max(clockMs, clock.wallMs())",
      },
    ],
    scenario: "lifecycle and clocks",
    // A pass that has begun in the future keeps later ones away.
    caughtBy: ["dueStays", "dueGoes"],
  },
  {
    bug: "what a pass has found due is removed although the rules have changed",
    edits: [
      {
        file: "packages/features/src/lifecycle/expire-commands-core.ts",
        find: "    if (!isDue(dueOf(rules, facts, at), at)) return NOTHING\n",
        put: "    void facts\n",
      },
    ],
    scenario: "lifecycle and clocks",
    caughtBy: ["dueStays"],
  },
  {
    bug: "slices of a lifecycle pass whose process has ended are not taken over",
    edits: [
      {
        file: "packages/features/src/lifecycle/pass-core.ts",
        find: "incarnation === incarnations.own || incarnations.isOver(incarnation)",
        put: "incarnation === incarnations.own",
      },
    ],
    scenario: "lifecycle and clocks",
    caughtBy: ["dueGoes"],
  },
  {
    bug: "a repeated completion makes a second version",
    edits: [
      {
        file: "packages/objects/src/commands/multipart-commands-core.ts",
        find: 'editor.put("uploads", addressKeyOf(address), undefined)\n',
        put: "\n",
      },
    ],
    scenario: "complete twice",
    caughtBy: ["completesOnce"],
  },
  {
    bug: "release bytes that another version of the row still references",
    edits: [
      { file: "packages/objects/src/commands/row-editor-core.ts", find: "return names === 0", put: "return true" },
    ],
    scenario: "sharing",
    // Caught by a reader's result, or by the store's own integrity audit.
    caughtBy: ["noPartialWrites", "spaceIsFreed"],
  },
  {
    bug: "leave a replica without the last entries at recovery",
    edits: [
      {
        file: "packages/engine/src/tablet/recover.ts",
        find: "if (has < longest.has) await",
        put: "if (has > longest.has) await",
      },
    ],
    scenario: "storm on 2 devices",
    caughtBy: ["opens", "acknowledgedStays", "linearizable", "replicasAgree"],
  },
  {
    bug: "acknowledge when one of several replicas has the entry",
    edits: [
      {
        file: "packages/engine/src/tablet/primary.ts",
        find: "mapBounded(this.handles, MAX_CONCURRENT_REPLICAS, handle =>",
        put: "mapBounded(this.handles.slice(0, 1), MAX_CONCURRENT_REPLICAS, handle =>",
      },
    ],
    scenario: "storm on 2 devices",
    caughtBy: ["acknowledgedStays", "opens", "linearizable", "replicasAgree"],
  },
  {
    bug: "remove the needles of an earlier process without reading their row",
    edits: [
      {
        file: "packages/upkeep/src/garbage/ownership-resolver.ts",
        find: 'if (!found) return { kind: "unnamed", owner }',
        put: 'return { kind: "unnamed", owner }',
      },
      {
        file: "packages/upkeep/src/garbage/aborted-blocks.ts",
        find: 'if (named.includes("block")) this.keep',
        put: "if (false) this.keep",
      },
      {
        file: "packages/upkeep/src/garbage/ownership-resolver.ts",
        find: "if (!extents.some(extent => isOfExtent(group, extent))) ",
        put: "",
      },
    ],
    scenario: "orphans",
    caughtBy: ["spaceIsFreed"],
  },
  {
    bug: "remove needles immediately if one replica has no row for them",
    edits: [
      {
        file: "packages/upkeep/src/garbage/aborted-blocks.ts",
        find: "await this.metadata.askEveryReplica(verifiedSinceMs, namedBy(group, owner))",
        put: "[await this.metadata.ask(namedBy(group, owner))]",
      },
      {
        file: "packages/upkeep/src/garbage/aborted-blocks.ts",
        find: "this.clock.monotonicMs() >= decidedMs + this.waits.removalWaitMs",
        put: "true",
      },
    ],
    scenario: "damaged replica",
    // Caught by missing bytes, or by the store's own integrity audit.
    caughtBy: ["bodiesOutliveRows", "spaceIsFreed"],
  },
  {
    bug: "remove aborted blocks, however many there are",
    edits: [
      {
        file: "packages/upkeep/src/garbage/aborted-brake-core.ts",
        find: "this.isTripped ||=",
        put: "this.isTripped = false &&",
      },
    ],
    scenario: "lost rows",
    caughtBy: ["bodiesOutliveRows"],
  },
  {
    bug: "copy shards to a replaced disk, but rebuild none",
    edits: [
      {
        file: "packages/engine/src/block/mend-core.ts",
        find: "else if (!isThere) writes.push(",
        put: "else if (!isThere && elsewhere.length > 0) writes.push(",
      },
    ],
    scenario: "lost disk",
    caughtBy: ["redundancyIsRestored"],
  },
  {
    bug: "treat a returning device as complete",
    edits: [
      {
        file: "packages/engine/src/cluster/device-states-core.ts",
        find: 'record.layout.devices.includes(id) ? "rebuilding" : "draining"',
        put: 'record.layout.devices.includes(id) ? "active" : "draining"',
      },
    ],
    scenario: "returned disk",
    caughtBy: ["completeIsComplete", "redundancyIsRestored"],
  },
  {
    bug: "keep needles on a returning device that were removed while it was offline",
    edits: [
      {
        file: "packages/upkeep/src/repair/repair-visit.ts",
        find: "visit.unreferenced.size < VISIT_LIMITS.unreferencedMax",
        put: "visit.unreferenced.size < 0",
      },
    ],
    scenario: "returned disk",
    caughtBy: ["spaceIsFreed", "redundancyIsRestored"],
  },
  {
    bug: "open with half of the devices",
    edits: [
      {
        file: "packages/engine/src/device/records/control-core.ts",
        find: "2 * here.length > voting.length",
        put: "2 * here.length >= voting.length",
      },
    ],
    scenario: "disk left behind",
    caughtBy: ["acknowledgedStays"],
  },
  {
    bug: "a scrub does not verify the needles that it reads",
    edits: [
      {
        file: "packages/engine/src/volume/needle-scrub.ts",
        find: "if (isWhole || !isSameNeedlePlace(",
        put: "if (true || !isSameNeedlePlace(",
      },
    ],
    scenario: "scrubbed disk",
    caughtBy: ["rotIsFound"],
  },
  {
    bug: "do not repair the damage that a scrub found",
    edits: [
      { file: "packages/upkeep/src/repair/repair.ts", find: "this.require(copy.id.partition, copy.deviceId)", put: "" },
    ],
    scenario: "scrubbed disk",
    caughtBy: ["rotIsFound", "redundancyIsRestored"],
  },
  {
    bug: "never release the old blocks after re-encoding",
    edits: [
      {
        file: "packages/objects/src/commands/reencode-commands-core.ts",
        find: 'if (isAll) editor.deleteLater({ kind: "extent", ...owner })',
        put: "if (isAll) void owner",
      },
    ],
    scenario: "growing store",
    caughtBy: ["spaceIsFreed"],
  },
  {
    bug: "treat a full disk as a faulty one",
    edits: [
      {
        file: "packages/node/src/devices/device-set.ts",
        find: '!isFailure(failure, "stopping", "deviceFull")',
        put: '!isFailure(failure, "stopping")',
      },
      {
        file: "packages/engine/src/volume/write-queue.ts",
        find: "if (!isShortage(failure)) this.refusal",
        put: "this.refusal",
      },
    ],
    scenario: "full disk",
    caughtBy: ["fullIsNotFaulty", "writesContinue"],
  },
  {
    bug: "let compaction copy into the space that a checkpoint needs",
    edits: [
      {
        file: "packages/base/src/space/space-core.ts",
        find: "return checkpointSpaceBytes(reserveBytes, limits)\n    case",
        put: "return -Infinity\n    case",
      },
      // This would repair the effect of the other change.
      {
        file: "packages/engine/src/device/checkpoint/checkpointer.ts",
        find: " || (await this.space.undoCopies())",
        put: "",
      },
    ],
    scenario: "disk filled by its store",
    caughtBy: ["spaceIsFreed"],
  },
  {
    bug: "keep an unfinished copy while a checkpoint has no space",
    edits: [
      {
        file: "packages/engine/src/device/checkpoint/checkpointer.ts",
        find: " || (await this.space.undoCopies())",
        put: "",
      },
    ],
    scenario: "half-made copy on a full disk",
    caughtBy: ["spaceIsFreed"],
  },
  {
    bug: "never probe an offline device",
    edits: [{ file: "packages/node/src/control/returning.ts", find: "await this.takeBack(id, path)", put: '"back"' }],
    scenario: "returned disk",
    caughtBy: ["redundancyIsRestored"],
  },
  {
    bug: "keep the redundancy of a single disk when others join",
    edits: [
      {
        file: "packages/engine/src/cluster/policy-core.ts",
        find: "const isWider = record.isPolicyAutomatic &&",
        put: "const isWider = false &&",
      },
    ],
    scenario: "growing store",
    caughtBy: ["opens", "readsContinue"],
  },
  {
    bug: "re-encode nothing after a change of the redundancy",
    edits: [
      {
        file: "packages/upkeep/src/reencode/reencode.ts",
        find: "if (!plan) return false",
        put: "if (plan !== null) return false",
      },
    ],
    scenario: "growing store",
    caughtBy: ["redundancyIsRestored"],
  },
  {
    bug: "do not replace a lost metadata replica",
    edits: [
      {
        file: "packages/engine/src/cluster/replicas-core.ts",
        find: 'return next && { kind: "learn", id: next.id }',
        put: "return undefined",
      },
    ],
    scenario: "lost disk",
    caughtBy: ["redundancyIsRestored"],
  },
]
