/**
 * The sample of docs/how-to/add-a-feature.md: buckets with the setting `changes` count how often their objects are changed.
 * No store has it: tests/features/sample.test.ts adds the line that registers it to a copy of the product.
 */
import { ServiceOf } from "@hayloft/objects/door/index.js"
import type { ProductFeature } from "../operator/index.js"
import { CHANGES, Changes } from "./changes.js"
import { ChangesJob } from "./changes-job.js"
import { countChange, countRowOf } from "./counts-core.js"
import { SAMPLE_OPERATOR } from "./operations.js"
import { changesStatus } from "./status.js"

const jobs = new ServiceOf<ChangesJob>()

export const SAMPLE = {
  name: "sample" as const,
  operator: SAMPLE_OPERATOR,
  status: changesStatus(core => jobs.of(core)),
  object: countChange,
  bucket: { notedRow: countRowOf },
  start(core) {
    CHANGES.set(core, new Changes(core))
    return { jobs: [jobs.set(core, new ChangesJob(core))] }
  },
} satisfies ProductFeature
