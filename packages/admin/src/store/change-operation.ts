/**
 * An operation that changes the devices, the layout or the redundancy of a store.
 *
 * Changes accept `dryRun`: the reply is then the plan, and nothing is changed. If the plan has a `confirmBy`, the
 * request must repeat it as `confirm`; if it has `lockedBuckets`, the request must repeat those. A request that repeats its
 * `outlook` is refused if the outcome has become worse since then.
 */
import type { z } from "zod"
import { startedJson, type CommandOf, type OperationInput } from "@hayloft/features/operator/index.js"
import type { JobStarter } from "@hayloft/features/user-jobs/index.js"
import { workOfChange, type StoreChange } from "@hayloft/node/index.js"
import { operation, type AdminOperation, type AdminServices } from "../operation.js"
import * as schema from "./store-schemas.js"

interface RequestedChange {
  readonly dryRun: boolean
  readonly confirm?: string | undefined
  readonly lockedBuckets?: readonly string[] | undefined
  readonly outlook?: string | undefined
  readonly change: StoreChange
}

interface ChangeDefinition {
  readonly summary: string
  readonly request: z.ZodType
  readonly commands?: readonly Pick<CommandOf<unknown>, "name" | "help" | "inputs" | "sends">[]
  /** Parses the request. */
  readonly read: (input: OperationInput) => RequestedChange
}

/** A request whose body becomes a change, which is planned or made. Its commands show the plan, and ask. */
export const change = (id: string, path: string, { read, ...definition }: ChangeDefinition): AdminOperation =>
  operation(id, `POST ${path}`, {
    ...definition,
    mayPlan: true,
    mayStartJob: true,
    answer: schema.CHANGE,
    run: async (services, input) => {
      const { dryRun, confirm, lockedBuckets, outlook, change: request } = read(input)
      if (dryRun) return { applied: false, plan: await services.store.plan(request) }
      const applied = await services.store.change(request, confirm, lockedBuckets, outlook)
      return { applied: true, ...applied, ...(await jobOfChange(services, request, input.caller)) }
    },
  })

/** The job of the work that the change has begun; a change that is made at once has none. The change is made either way. */
async function jobOfChange({ startedJobs }: AdminServices, request: StoreChange, caller: JobStarter) {
  const work = workOfChange(startedJobs.works(), "id" in request ? request.id : undefined)
  const job = work && (await startedJobs.follow(work, caller).catch(() => undefined))
  return job === undefined ? {} : { job: startedJson(job) }
}
