/** The operations of `/v1` on quotas of buckets and accounts. */
import { parseAccountId, parseBucketName } from "../base/ids.js"
import { quotaReportOf, type QuotaTarget } from "../object/index.js"
import { parseBody, type Operation, type OperationInput } from "./operation.js"
import { QUOTA_CHECK, QUOTA_LIMITS, QUOTA_REPLY } from "./quota-schemas.js"

interface Holder {
  readonly id: string
  readonly path: string
  readonly name: string
  readonly targetOf: (segment: OperationInput["segment"]) => QuotaTarget
}

const HOLDERS: readonly Holder[] = [
  {
    ...{ id: "Bucket", path: "/v1/buckets/{bucket}/quota", name: "a bucket" },
    targetOf: segment => ({ kind: "bucket", name: parseBucketName(segment("bucket")) }),
  },
  {
    ...{ id: "Account", path: "/v1/accounts/{account}/quota", name: "an account, all of its buckets together" },
    targetOf: segment => ({ kind: "account", id: parseAccountId(segment("account")) }),
  },
]

const operationsOf = ({ id, path, name, targetOf }: Holder): readonly Operation[] => [
  {
    ...{ id: `get${id}Quota`, method: "GET", path, summary: `Returns the quota of ${name}, and what is used of it.` },
    ...{ parameters: [], request: undefined },
    response: { status: 200, schema: QUOTA_REPLY },
    async run({ quotas }, { segment }) {
      const state = await quotas.show(targetOf(segment))
      return state === undefined ? {} : { quota: quotaReportOf(state) }
    },
  },
  {
    ...{ id: `set${id}Quota`, method: "POST", path },
    summary: `Replaces the quota of ${name}. The limits hold once this returns.`,
    ...{ parameters: [], request: QUOTA_LIMITS },
    response: { status: 200, schema: QUOTA_REPLY },
    async run({ quotas }, { segment, body }) {
      return { quota: quotaReportOf(await quotas.set(targetOf(segment), parseBody(QUOTA_LIMITS, body))) }
    },
  },
  {
    ...{ id: `remove${id}Quota`, method: "DELETE", path, summary: `Removes the quota of ${name}.` },
    ...{ parameters: [], request: undefined },
    response: { status: 204, schema: undefined },
    run: ({ quotas }, { segment }) => quotas.clear(targetOf(segment)),
  },
  {
    ...{ id: `check${id}Quota`, method: "GET", path: `${path}/check` },
    summary: `Compares what is counted of ${name}, also without a quota, with the rows themselves, all of which it reads.`,
    ...{ parameters: [], request: undefined },
    response: { status: 200, schema: QUOTA_CHECK },
    run: ({ quotas }, { segment }) => quotas.check(targetOf(segment)),
  },
  {
    ...{ id: `recount${id}Quota`, method: "POST", path: `${path}/recount` },
    summary: `Counts again what is used of the quota of ${name}.`,
    ...{ parameters: [], request: undefined },
    response: { status: 200, schema: QUOTA_REPLY },
    async run({ quotas }, { segment }) {
      return { quota: quotaReportOf(await quotas.restart(targetOf(segment))) }
    },
  },
]

export const QUOTA_OPERATIONS: readonly Operation[] = HOLDERS.flatMap(operationsOf)
