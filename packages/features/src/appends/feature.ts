/**
 * Appends, in buckets with the setting `append`: objects grow at their ends, and consist of the bytes of others. See decisions
 * 81, 82 and 116.
 */
import { type Core, ServiceOf } from "@hayloft/objects/door/index.js"
import type { ProductFeature } from "../operator/index.js"
import { AppendService } from "./append-service.js"
import { Concatenation } from "./concatenation.js"
import type { Appends } from "./contract.js"
import { AppendSealing, SEALING_JOB } from "./sealing.js"
import { APPENDS_OPERATOR } from "./setting.js"

const services = new ServiceOf<Appends>()

export const appendsOf = (core: Core): Appends => services.of(core)

export const APPENDS = {
  name: "appends" as const,
  operator: APPENDS_OPERATOR,
  bucket: { setting: { name: "append" } },
  ofSegments: ["appends"],
  jobs: [{ name: SEALING_JOB, isPausable: true, doneWith: "repair" }],
  start(core) {
    services.set(core, new AppendService(core, core.random))
    const sealing = new AppendSealing({ ...core, clock: core.jobClock, metadata: core.jobMetadata }, core.bound)
    return { jobs: [sealing], referring: new Concatenation(core, core.random) }
  },
} satisfies ProductFeature
