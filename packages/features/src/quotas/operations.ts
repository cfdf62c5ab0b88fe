/** The operations of `/v1` on quotas of buckets and accounts. */
import type { z } from "zod"
import { parseAccountId, parseBucketName } from "@hayloft/base/ids.js"
import {
  action,
  CommandProblem,
  operation,
  parseBody,
  withCommands,
  type Answering,
  type Calls,
  type OperationInput,
  type OperatorPart,
  type Shown,
} from "../operator/index.js"
import { quotaReportOf } from "./quota-report-core.js"
import { checkText, differenceText, quotaText } from "./quota-text.js"
import type { QuotaTarget } from "./quotas.js"
import { QUOTA_CHECK, QUOTA_LIMITS, QUOTA_REPLY } from "./schemas.js"
import { QUOTA_SERVICE } from "./services.js"

interface Holder {
  readonly id: string
  readonly path: `/v1/${string}`
  readonly name: string
  readonly targetOf: (segment: OperationInput["segment"]) => QuotaTarget
}

const BUCKET: Holder = {
  id: "Bucket",
  path: "/v1/buckets/{bucket}/quota",
  name: "a bucket",
  targetOf: segment => ({ kind: "bucket", name: parseBucketName(segment("bucket")) }),
}

const ACCOUNT: Holder = {
  id: "Account",
  path: "/v1/accounts/{account}/quota",
  name: "an account, all of its buckets together",
  targetOf: segment => ({ kind: "account", id: parseAccountId(segment("account")) }),
}

const operationsOf = ({ id, path, name, targetOf }: Holder) => ({
  get: operation(`get${id}Quota`, `GET ${path}`, {
    summary: `Returns the quota of ${name}, and what is used of it.`,
    answer: QUOTA_REPLY,
    async run({ core }, { segment }) {
      const state = await QUOTA_SERVICE.of(core).show(targetOf(segment))
      return state === undefined ? {} : { quota: quotaReportOf(state) }
    },
  }),
  set: operation(`set${id}Quota`, `POST ${path}`, {
    summary: `Replaces the quota of ${name}. The limits hold once this returns.`,
    request: QUOTA_LIMITS,
    answer: QUOTA_REPLY,
    async run({ core }, { segment, body }) {
      return {
        quota: quotaReportOf(await QUOTA_SERVICE.of(core).set(targetOf(segment), parseBody(QUOTA_LIMITS, body))),
      }
    },
  }),
  remove: action(`remove${id}Quota`, `DELETE ${path}`, {
    summary: `Removes the quota of ${name}.`,
    run: ({ core }, { segment }) => QUOTA_SERVICE.of(core).clear(targetOf(segment)),
  }),
  check: operation(`check${id}Quota`, `GET ${path}/check`, {
    summary: `Compares what is counted of ${name}, also without a quota, with the rows themselves, all of which it reads.`,
    answer: QUOTA_CHECK,
    run: ({ core }, { segment }) => QUOTA_SERVICE.of(core).check(targetOf(segment)),
  }),
  recount: operation(`recount${id}Quota`, `POST ${path}/recount`, {
    summary: `Counts again what is used of the quota of ${name}.`,
    answer: QUOTA_REPLY,
    async run({ core }, { segment }) {
      return { quota: quotaReportOf(await QUOTA_SERVICE.of(core).restart(targetOf(segment))) }
    },
  }),
})

const OF_BUCKETS = operationsOf(BUCKET)
const OF_ACCOUNTS = operationsOf(ACCOUNT)

/** The name of a bucket, or with `--account` the id of an account. */
const NAME = { bucket: { flags: "<NAME>" } }
const IS_ACCOUNT = {
  isAccount: { flags: "--account", help: "NAME is the id of an account: all of its buckets together" },
}

/** Calls the operation on the holder that was named. */
const onHolder = <Answer>(
  { given, call }: Calls,
  choose: (operations: typeof OF_BUCKETS) => Answering<Answer>,
): Promise<Answer> =>
  given("isAccount") === "true" ? call(choose(OF_ACCOUNTS), { account: given("bucket") }) : call(choose(OF_BUCKETS))

function shownReply({ given }: Calls, reply: z.output<typeof QUOTA_REPLY>): Shown {
  return { json: reply, text: quotaText(given("bucket"), reply) }
}

/** Throws a `CommandProblem`. */
const wholeNumber =
  (option: string) =>
  (text: string): number => {
    if (/^\d{1,15}$/.test(text)) return Number(text)
    throw new CommandProblem("usage", `${option} is a whole number from 0`)
  }

const LIMITS = {
  hardBytes: { flags: "--bytes <SIZE>", help: "what would exceed it is refused: 10GiB", reads: "size" },
  warnBytes: {
    flags: "--warn-bytes <SIZE>",
    help: "from here on status, metrics and a log line warn",
    reads: "size",
  },
  hardObjects: {
    flags: "--objects <N>",
    help: "versions, delete markers included; what would exceed it is refused",
    reads: wholeNumber("--objects"),
  },
  warnObjects: {
    flags: "--warn-objects <N>",
    help: "from here on they warn as well",
    reads: wholeNumber("--warn-objects"),
  },
} as const

/** A command is that of the operation on buckets, and calls the one on accounts if it is about an account. */
const OPERATIONS = [
  withCommands(OF_BUCKETS.get, {
    name: "quota show",
    help: "the quota of a bucket or an account, and what is used of it",
    inputs: { ...NAME, ...IS_ACCOUNT },
    run: async calls => shownReply(calls, await onHolder(calls, ({ get }) => get)),
  }),
  withCommands(OF_BUCKETS.set, {
    name: "quota set",
    help: "replace the quota of a bucket or an account",
    inputs: { ...NAME, ...LIMITS, ...IS_ACCOUNT },
    sends(given) {
      if (Object.keys(LIMITS).some(limit => given(limit) !== "")) return {}
      throw new CommandProblem("usage", "state at least one limit: --bytes 10GiB")
    },
    run: async calls => shownReply(calls, await onHolder(calls, ({ set }) => set)),
  }),
  withCommands(OF_BUCKETS.remove, {
    name: "quota clear",
    help: "remove the quota of a bucket or an account",
    inputs: { ...NAME, ...IS_ACCOUNT },
    async run(calls) {
      await onHolder(calls, ({ remove }) => remove)
      const name = calls.given("bucket")
      return { json: { name, cleared: true }, text: `removed the quota of ${name}\n` }
    },
  }),
  withCommands(OF_BUCKETS.check, {
    name: "quota check",
    help: "compare what is counted with the rows themselves, all of which it reads, also without a quota; exit code 1 if they differ",
    inputs: { ...NAME, ...IS_ACCOUNT, repair: { flags: "--repair", help: "count again first" } },
    async run(calls) {
      if (calls.given("repair") === "true") await onHolder(calls, ({ recount }) => recount)
      const found = await onHolder(calls, ({ check }) => check)
      return { json: found, text: checkText(found), failure: found.agrees ? undefined : differenceText(found) }
    },
  }),
  OF_BUCKETS.recount,
  ...Object.values(OF_ACCOUNTS),
]

export const QUOTA_OPERATOR: OperatorPart = {
  operations: OPERATIONS,
  commandGroups: { quota: "limits of bytes and objects, of buckets and accounts" },
  bucketSettings: {
    quota: {
      actions: { GET: "hayloft:GetBucketQuota", PUT: "hayloft:SetBucketQuota", DELETE: "hayloft:RemoveBucketQuota" },
      get: async ({ core }, { name }) => {
        const state = await QUOTA_SERVICE.of(core).show({ kind: "bucket", name })
        return state && { ...state.quota.limits }
      },
      put: ({ core }, { name }, value) =>
        QUOTA_SERVICE.of(core).set({ kind: "bucket", name }, parseBody(QUOTA_LIMITS, value)),
      remove: ({ core }, { name }) => QUOTA_SERVICE.of(core).clear({ kind: "bucket", name }),
    },
  },
}
