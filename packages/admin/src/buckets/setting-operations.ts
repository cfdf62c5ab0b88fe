/**
 * The operations of `/v1` on the settings of a bucket as JSON: those of S3, of which S3's own requests read and write the
 * documents, and those of features, which S3 does not have.
 *
 * Promises  A caller with access policies needs the same action as for the request of S3.
 * Limits    `SETTING_BYTES_MAX`.
 */
import { fail, isFailure } from "@hayloft/base/failures.js"
import { parseBucketName } from "@hayloft/base/ids.js"
import { FEATURE_SETTING_COMMANDS, FEATURE_SETTINGS } from "@hayloft/features/index.js"
import { printable, tableText } from "@hayloft/base/text/report-text.js"
import {
  BUCKET_SETTING,
  BUCKET_SETTINGS,
  CommandProblem,
  parseBody,
  SET_SETTING,
  SETTING_BYTES_MAX,
  type OperationInput,
  type RequiredAction,
  type ShownSetting,
} from "@hayloft/features/operator/index.js"
import type { Bucket } from "@hayloft/objects/contract.js"
import { action, operation, type AdminOperation, type AdminServices } from "../operation.js"

const PATH = "/v1/buckets/{bucket}/settings"
const ONE = `${PATH}/{setting}`

type Method = "GET" | "PUT" | "DELETE"

const bucketIn = async ({ buckets }: AdminServices, { segment }: OperationInput): Promise<Bucket> =>
  buckets.open(parseBucketName(segment("bucket")))

/** Throws `invalidArgument`. */
function checkName({ bucketDocuments: { names } }: AdminServices, setting: string): void {
  if (FEATURE_SETTINGS.has(setting) || names.includes(setting)) return
  const known = [...names, ...FEATURE_SETTINGS.keys()].join(", ")
  throw fail("invalidArgument", {
    message: `a bucket has no setting "${setting.slice(0, 80)}"; there are ${known}`,
  })
}

function required(services: AdminServices, bucket: Bucket, setting: string, method: Method): RequiredAction {
  const own = FEATURE_SETTINGS.get(setting)
  if (own !== undefined) return { action: own.actions[method], resource: "*", owner: services.rootAccount }
  const action = services.bucketDocuments.actionOf(setting, method)
  return { action, resource: `arn:aws:s3:::${bucket.name}`, owner: bucket.owner }
}

async function shown(services: AdminServices, bucket: Bucket, setting: string) {
  const { bucketDocuments } = services
  const own = FEATURE_SETTINGS.get(setting)
  const value = await (own === undefined ? bucketDocuments.get(bucket, setting) : own.get(services, bucket))
  const canRemove = own !== undefined || bucketDocuments.canRemove(setting)
  return { setting, isSet: value !== undefined, canRemove, ...(value !== undefined && { value }) }
}

async function listed(services: AdminServices, input: OperationInput) {
  const bucket = await bucketIn(services, input)
  const settings = []
  for (const setting of [...services.bucketDocuments.names, ...FEATURE_SETTINGS.keys()])
    settings.push(await shownIfAllowed(services, input, bucket, setting))
  return { settings }
}

async function shownIfAllowed(services: AdminServices, input: OperationInput, bucket: Bucket, setting: string) {
  const action = required(services, bucket, setting, "GET")
  const refused = (why: string) => ({ setting, isSet: false, canRemove: false, refused: why })
  if (!(await input.isAllowed([action]))) return refused(`it takes ${action.action} to see it`)
  try {
    return await shown(services, bucket, setting)
  } catch (error) {
    // The policy of the bucket refuses even its owner.
    if (isFailure(error, "accessDenied")) return refused(error.message)
    throw error
  }
}

const permissionOf =
  (method: Method): NonNullable<AdminOperation["permission"]> =>
  async (services, input) => {
    const setting = input.segment("setting")
    checkName(services, setting)
    return [required(services, await bucketIn(services, input), setting, method)]
  }

const SHOWN_CHARACTERS = 80

function rowOf({ setting, value, refused }: ShownSetting): readonly string[] {
  if (refused !== undefined) return [setting, `(${printable(refused)})`]
  const text = value === undefined ? "" : JSON.stringify(value)
  return [setting, printable(text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text)]
}

const BUCKET = { flags: "<BUCKET>" }
const NAMED = {
  bucket: BUCKET,
  setting: { flags: "<SETTING>", help: "a name of the list: versioning, lifecycle, policy …" },
}

export const SETTING_OPERATIONS: readonly AdminOperation[] = [
  operation("listBucketSettings", `GET ${PATH}`, {
    summary: "Returns all settings of a bucket, each as far as the caller may see it.",
    answer: BUCKET_SETTINGS,
    permission: async (services, input) => {
      const { name, owner } = await bucketIn(services, input)
      return [{ action: "s3:ListBucket", resource: `arn:aws:s3:::${name}`, owner }]
    },
    run: listed,
    commands: [
      {
        name: "bucket settings list",
        help: "which settings a bucket has, and how they begin",
        inputs: { bucket: BUCKET },
        list: "settings",
        text: ({ settings }) => tableText(["SETTING", "VALUE"], settings.map(rowOf)),
      },
    ],
  }),
  operation("getBucketSetting", `GET ${ONE}`, {
    summary: "Returns a setting of a bucket.",
    answer: BUCKET_SETTING,
    permission: permissionOf("GET"),
    async run(services, input) {
      checkName(services, input.segment("setting"))
      return shown(services, await bucketIn(services, input), input.segment("setting"))
    },
    commands: [
      {
        name: "bucket settings get",
        help: "a setting of a bucket, as set takes it",
        inputs: NAMED,
        text: ({ value }, given) => {
          if (value !== undefined) return `${JSON.stringify(value, undefined, 2)}\n`
          throw new CommandProblem("notFound", `${given("bucket")} has no ${given("setting")} set`)
        },
      },
      ...FEATURE_SETTING_COMMANDS.flatMap(({ get = [] }) => get),
    ],
  }),
  operation("setBucketSetting", `PUT ${ONE}`, {
    request: SET_SETTING,
    summary: "Replaces a setting of a bucket. What S3 would refuse is refused, with the reason.",
    scope: "all",
    bodyBytesMax: SETTING_BYTES_MAX,
    answer: BUCKET_SETTING,
    permission: permissionOf("PUT"),
    async run(services, input) {
      const setting = input.segment("setting")
      checkName(services, setting)
      const { value } = parseBody(SET_SETTING, input.body)
      const bucket = await bucketIn(services, input)
      const own = FEATURE_SETTINGS.get(setting)
      await (own === undefined
        ? services.bucketDocuments.put(bucket, setting, value)
        : own.put(services, bucket, value))
      return shown(services, await bucketIn(services, input), setting)
    },
    commands: [
      {
        name: "bucket settings set",
        help: "replace a setting of a bucket by JSON, as an argument or in a file; aws s3api prints the same JSON",
        inputs: {
          ...NAMED,
          value: { flags: "<FILE>", help: "- for standard input, or the JSON itself", reads: "document" },
        },
        text: (_, given) => `set ${given("setting")} of ${given("bucket")}\n`,
      },
      ...FEATURE_SETTING_COMMANDS.flatMap(({ put = [] }) => put),
    ],
  }),
  action("removeBucketSetting", `DELETE ${ONE}`, {
    summary: "Removes a setting of a bucket, as far as S3 can.",
    scope: "all",
    permission: permissionOf("DELETE"),
    async run(services, input) {
      const setting = input.segment("setting")
      checkName(services, setting)
      const bucket = await bucketIn(services, input)
      const own = FEATURE_SETTINGS.get(setting)
      await (own === undefined ? services.bucketDocuments.remove(bucket, setting) : own.remove(services, bucket))
    },
    commands: [
      {
        name: "bucket settings delete",
        help: "remove a setting of a bucket",
        inputs: NAMED,
        json: (_, given) => ({ bucket: given("bucket"), setting: given("setting"), deleted: 1 }),
        text: (_, given) => `removed ${given("setting")} of ${given("bucket")}\n`,
      },
      ...FEATURE_SETTING_COMMANDS.flatMap(({ remove = [] }) => remove),
    ],
  }),
]
