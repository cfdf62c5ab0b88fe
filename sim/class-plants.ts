/** Planted bugs of storage classes, which tests must catch. */
import type { Edit, TestedPlant } from "./plants.js"

const [OBJECTS, NODE] = ["packages/features/src/storage-classes/storage-classes", "packages/node/src/storage-classes"]

const plant = (bug: string, caughtBy: string, ...edits: readonly Edit[]): TestedPlant => ({
  bug: `classes: ${bug}`,
  edits,
  caughtBy,
})

export const CLASS_PLANTS: readonly TestedPlant[] = [
  plant("new blocks have the policy of the bucket", OBJECTS, {
    file: "packages/objects/src/bodies/ingest.ts",
    find: "return policyOfVersion(this.classes, storageClass, ofBucket ?? this.store.policy)",
    put: "return ofBucket ?? this.store.policy",
  }),
  plant("re-encoding does not follow the class", OBJECTS, {
    file: "packages/upkeep/src/reencode/policies-of-rows.ts",
    find: 'if (typeof ofClass === "string") return policyOfVersion(this.classes, ofClass, otherwise)',
    put: 'if (typeof ofClass === "string") return otherwise',
  }),
  plant("segments are re-encoded as STANDARD", OBJECTS, {
    file: "packages/upkeep/src/reencode/row-classes.ts",
    find: "return { objectRow, name, referencedIn: referencesTo",
    put: 'if (name.length > 0) return "STANDARD"\n    return { objectRow, name, referencedIn: referencesTo',
  }),
  plant(
    "versions of two classes share bytes",
    OBJECTS,
    {
      file: "packages/objects/src/object-service.ts",
      find: "!isOfSameBytes(request, opened) || !keepsClass(request, opened)",
      put: "!isOfSameBytes(request, opened)",
    },
    {
      file: "packages/objects/src/object-service.ts",
      find: "storageClass: head.storageClass,",
      put: 'storageClass: request.storageClass ?? "STANDARD",',
    },
    {
      file: "packages/objects/src/commands/version-commands-core.ts",
      find: "if (found.head.storageClass !== version.storageClass) throw",
      put: "if (found.head.isMarker) throw",
    },
  ),
  plant("a restore that is over lets an object be read", OBJECTS, {
    file: "packages/objects/src/bodies/object-reader.ts",
    find: "checkReadOfFeatures(record, () => this.clockMs(), this.classes)",
    put: "checkReadOfFeatures(record, () => 0, this.classes)",
  }),
  plant("a restore never ends", "packages/features/src/storage-classes/archive-commands-core", {
    file: "packages/features/src/storage-classes/archive-commands-core.ts",
    find: "restore !== undefined && restore.untilMs > nowMs ?",
    put: "restore !== undefined ?",
  }),
  plant("the record tells of the first class before the devices refuse earlier releases", NODE, {
    file: "packages/node/src/control/record-classes.ts",
    find: "await devices.raiseFormatEpoch(FORMAT_EPOCH_OF_KEYS)",
    put: "",
  }),
  plant("the layout has no slots for the policy of a class", NODE, {
    file: "packages/engine/src/cluster/record-layout-core.ts",
    find: "...classes.map(([, ofClass]) => ofClass),",
    put: "...classes.map(() => policy),",
  }),
  plant("a rebuilt recovery header forgets the class", "packages/node/src/rescue/rescue-classes", {
    file: "packages/objects/src/queries/named-extents-core.ts",
    find: "...(sealed && { sealed }), ...ofClass })",
    put: "...(sealed && { sealed }) })",
  }),
  plant("a class may become less safe than locked versions were promised", NODE, {
    file: "packages/node/src/control/locked-at-risk-core.ts",
    find: "isLess(mappedTo(before, each) ?? from, mappedTo(after, each) ?? to)",
    put: "isLess(from, to)",
  }),
]
