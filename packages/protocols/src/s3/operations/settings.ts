/** GET, PUT and DELETE of a bucket's settings, shared by all kinds. */
import type { S3Answer, BucketCall } from "../call.js"
import { answerEmpty, linesOfFields } from "../call.js"
import { readRequiredDocument } from "../read-document.js"
import { documentOf, shownOf, deletedDocument } from "../settings/setting.js"
import type { S3Setting } from "../settings/setting.js"
import { answerMissing } from "./unset-settings.js"

type Handler = (call: BucketCall) => Promise<S3Answer>

export const getSetting =
  (setting: S3Setting<unknown>): Handler =>
  async ({ services, bucket }) => {
    const document = shownOf(setting, await services.buckets.setting(bucket, setting.name))
    if (document === undefined && setting.missing !== undefined) return answerMissing(setting.missing, bucket)
    return { status: 200, headers: linesOfFields([]), body: { kind: "document", bytes: Buffer.from(document ?? "") } }
  }

/** A further check of a value for a bucket. */
export type SettingCheck<Value> = (call: BucketCall, value: Value) => Promise<void>

/** Throws the faults of the document, and the failures of the check. */
export const putSetting =
  <Value>(setting: S3Setting<Value>, status: number, check?: SettingCheck<Value>): Handler =>
  async call => {
    const { services, bucket, body } = call
    const value = setting.read(await readRequiredDocument(body, setting.root, setting.limits))
    await check?.(call, value)
    await services.buckets.setSetting(bucket, setting.name, documentOf(setting, value))
    return answerEmpty(status)
  }

/** A check of whether a bucket may lose its value. */
export type RemovalCheck = (call: BucketCall) => Promise<void>

/** Throws the failures of the check. */
export const deleteSetting =
  (setting: S3Setting<unknown>, check?: RemovalCheck): Handler =>
  async call => {
    const { services, bucket } = call
    await check?.(call)
    await services.buckets.setSetting(bucket, setting.name, deletedDocument(setting))
    return answerEmpty(204)
  }
