/** GET, PUT and DELETE of a bucket's settings: the same for all kinds. */
import type { Answer, BucketCall } from "../call.js"
import { answerEmpty } from "../call.js"
import { readRequiredDocument } from "../read-document.js"
import { documentOf, shownOf, takenAway } from "../settings/setting.js"
import type { Setting } from "../settings/setting.js"
import { answerMissing } from "./unset-settings.js"

type Handler = (call: BucketCall) => Promise<Answer>

export const getSetting =
  (setting: Setting<unknown>): Handler =>
  async ({ services, bucket }) => {
    const document = shownOf(setting, await services.buckets.setting(bucket, setting.name))
    if (document === undefined && setting.missing !== undefined) return answerMissing(setting.missing, bucket)
    return { status: 200, headers: [], body: { kind: "document", bytes: Buffer.from(document ?? "") } }
  }

/** Throws what is wrong with the document. */
export const putSetting =
  (setting: Setting<unknown>, status: number): Handler =>
  async ({ services, bucket, body }) => {
    const root = await readRequiredDocument(body, setting.root, setting.limits)
    await services.buckets.setSetting(bucket, setting.name, documentOf(setting, setting.read(root)))
    return answerEmpty(status)
  }

export const deleteSetting =
  (setting: Setting<unknown>): Handler =>
  async ({ services, bucket }) => {
    await services.buckets.setSetting(bucket, setting.name, takenAway(setting))
    return answerEmpty(204)
  }
