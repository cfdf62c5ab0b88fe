/** The operations of `/v1` on copies of a bucket in another store: how far they are, pausing them, and filling the target again. */
import type { z } from "zod"
import { fail } from "@hayloft/base/failures.js"
import { parseBucketName, textOfObjectKey } from "@hayloft/base/ids.js"
import { textOfMoment } from "@hayloft/base/text/moment.js"
import type { Bucket } from "@hayloft/objects/contract.js"
import {
  CommandProblem,
  operation,
  parseBody,
  type BucketSetting,
  type Given,
  type Operation,
  type OperationInput,
  type OperatorPart,
  type OperatorServices,
} from "../operator/index.js"
import type { CopiesAdmin, CopiesStatus } from "./contract.js"
import { COPIES, FILL_COPIES } from "./schemas.js"
import { COPIES_ADMIN } from "./services.js"
import { COPIES_VALUE, parseCopiesSetting } from "./setting.js"
import { COPIES_COMMANDS } from "./setting-commands.js"
import { copiesText } from "./status-text.js"

const PATH = "/v1/buckets/{bucket}/copies"

/** Throws `notImplemented` if copies are switched off. */
function copiesOf({ core }: OperatorServices): CopiesAdmin {
  const copies = COPIES_ADMIN.find(core)
  if (copies !== undefined) return copies
  throw fail("notImplemented", { message: "copies in other stores are switched off: start the store with --remotes" })
}

function statusJson({ setting, lag, copiedToUs, ...status }: CopiesStatus): z.output<typeof COPIES> {
  const { id: _, ...target } = setting
  const { place, sinceMs, error, errorMs } = status
  return {
    target,
    phase: status.phase,
    fills: status.fills,
    isPaused: status.isPaused,
    lag: { objects: lag.objects, bytes: lag.bytes, seconds: lag.seconds, isCut: lag.isCut },
    ...(sinceMs !== undefined && { sinceMs }),
    ...(place !== undefined && { place: textOfObjectKey(place) }),
    ...(copiedToUs !== undefined && copiedToUs > 0 && { copiedTo: textOfMoment(copiedToUs) }),
    ...(error !== undefined && { error }),
    ...(errorMs !== undefined && { errorMs }),
    parked: status.parked.map(({ key, nextMs, reason, attempts, sinceMs: since }) => ({
      key: textOfObjectKey(key),
      reason,
      attempts,
      sinceMs: since,
      ...(nextMs !== undefined && { nextMs }),
    })),
    hasMoreParked: status.hasMoreParked,
  }
}

const bucketIn = async ({ buckets }: OperatorServices, { segment }: OperationInput): Promise<Bucket> =>
  buckets.open(parseBucketName(segment("bucket")))

/** Throws `invalidArgument` if the bucket is not copied. */
async function show(services: OperatorServices, input: OperationInput) {
  const copies = copiesOf(services)
  const bucket = await bucketIn(services, input)
  const status = await copies.status(bucket)
  if (status === undefined) throw fail("invalidArgument", { message: `the bucket ${bucket.name} is not copied` })
  return statusJson(status)
}

const BUCKET = { flags: "<BUCKET>" }

type Copies = z.output<typeof COPIES>

/** With `--wait`: the time between two looks, and for how long an error may stay. */
const WAIT_MS = 500
const WAIT_ERROR_MS = 60_000

const isWhole = ({ phase, lag }: Copies): boolean => phase === "following" && lag.objects === 0

/** Throws a `CommandProblem` if waiting makes no sense: an error has been there for `failedMs`. */
function requireProgress(bucket: string, { isPaused, error = "" }: Copies, failedMs: number): void {
  if (isPaused)
    throw new CommandProblem("failed", `the copies of ${bucket} are paused: hayloft copies resume ${bucket}`)
  if (failedMs >= WAIT_ERROR_MS) throw new CommandProblem("failed", `${bucket} is not copied: ${error}`)
}

const shownText = (copies: Copies, given: Given): string => copiesText(given("bucket"), copies)

/** `help`: of the command. */
const changing = (
  [id, word]: readonly [id: string, word: string],
  summary: string,
  help: string,
  change: (copies: CopiesAdmin, bucket: Bucket) => Promise<void>,
): Operation =>
  operation(id, `POST ${PATH}/${word}`, {
    summary,
    scope: "all",
    answer: COPIES,
    async run(services, input) {
      await change(copiesOf(services), await bucketIn(services, input))
      return show(services, input)
    },
    commands: [{ name: `copies ${word}`, help, inputs: { bucket: BUCKET }, text: shownText }],
  })

const OPERATIONS: readonly Operation[] = [
  operation("getBucketCopies", `GET ${PATH}`, {
    summary: "Returns how far the copies of a bucket in another store are.",
    answer: COPIES,
    run: show,
    commands: [
      {
        name: "copies status",
        help: "how far the copies are, and what was not copied",
        inputs: {
          bucket: BUCKET,
          wait: {
            flags: "--wait",
            help: "wait until the target has everything; exit code 1 if it takes nothing for a minute",
          },
        },
        async run({ given, sleep }, own) {
          let found = await own()
          for (let failedMs = 0; given("wait") === "true" && !isWhole(found); found = await own()) {
            failedMs = found.error === undefined ? 0 : failedMs + WAIT_MS
            requireProgress(given("bucket"), found, failedMs)
            await sleep(WAIT_MS)
          }
          return { json: found, text: shownText(found, given) }
        },
      },
    ],
  }),
  changing(
    ["pauseCopies", "pause"],
    "Pauses the copies of a bucket; changes are logged.",
    "send nothing until `copies resume`; changes are logged",
    (copies, bucket) => copies.pause(bucket, true),
  ),
  changing(
    ["resumeCopies", "resume"],
    "Lets the copies of a bucket go on.",
    "go on from where the copies are",
    (copies, bucket) => copies.pause(bucket, false),
  ),
  operation("fillCopies", `POST ${PATH}/fill`, {
    request: FILL_COPIES,
    summary: "Compares all objects of a bucket with its target, and sends those that differ.",
    scope: "all",
    answer: COPIES,
    async run(services, input) {
      const { remove = false } = parseBody(FILL_COPIES, input.body ?? {})
      await copiesOf(services).fillAgain(await bucketIn(services, input), remove)
      return show(services, input)
    },
    commands: [
      {
        name: "copies fill",
        help: "compare all objects with the target, and send those that differ",
        inputs: { bucket: BUCKET, remove: { flags: "--remove" } },
        text: shownText,
      },
    ],
  }),
]

const SETTING: BucketSetting = {
  actions: { GET: "hayloft:GetBucketCopies", PUT: "hayloft:SetBucketCopies", DELETE: "hayloft:RemoveBucketCopies" },
  /** Also where the store was started without `--remotes`. */
  async get({ buckets }, bucket) {
    if (!bucket.settings.includes("copies")) return undefined
    const record = await buckets.setting(bucket, "copies")
    if (record === undefined) return undefined
    const { id: _, ...value } = parseCopiesSetting(record.document)
    return value
  },
  put: (services, bucket, value) => copiesOf(services).set(bucket, parseBody(COPIES_VALUE, value)),
  remove: ({ buckets }, bucket) => buckets.setSetting(bucket, "copies", undefined),
}

export const COPIES_OPERATOR: OperatorPart = {
  operations: OPERATIONS,
  commandGroups: { copies: "copies of a bucket in another store, seconds behind it" },
  bucketSettings: { copies: SETTING },
  settingCommands: COPIES_COMMANDS,
}
