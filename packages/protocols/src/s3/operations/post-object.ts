/** PostObject: stores the file of a form as the latest version of a key. */
import { textOfObjectKey } from "@hayloft/base/ids.js"
import { percentEncode } from "@hayloft/base/http/uri.js"
import type { S3Answer, FormCall } from "../call.js"
import { answerEmpty, linesOfFields } from "../call.js"
import { xmlDocument } from "../wire/xml-writer.js"
import type { XmlWriter } from "../wire/xml-writer.js"
import { storeObject } from "./put-object.js"
import type { HeaderField } from "@hayloft/base/http/request-headers.js"

/** The browser's redirect URL, with the stored bucket, key and ETag as parameters. */
function redirectTo(address: string, { bucket, key }: FormCall, etag: string): string {
  const stored = new URLSearchParams({ bucket: bucket.name, key: textOfObjectKey(key), etag: `"${etag}"` })
  const url = new URL(address)
  url.search = `${url.search === "" ? "?" : `${url.search}&`}${stored.toString()}`
  return url.href
}

export async function postObject(call: FormCall): Promise<S3Answer> {
  const { bucket, key, success, origin, rawPath } = call
  const { stored, fields: storedFields } = await storeObject(call, call.tags)
  const { etag } = stored
  const fields: HeaderField[] = [["ETag", `"${etag}"`], ...storedFields]
  if (success.redirect !== undefined) {
    return answerEmpty(303, [...fields, ["Location", redirectTo(success.redirect, call, etag)]])
  }
  const location = `${origin}${rawPath.replace(/\/$/, "")}/${percentEncode(key)}`
  const headers: HeaderField[] = [...fields, ["Location", location]]
  if (success.status !== 201) return answerEmpty(success.status, headers)
  const write = (xml: XmlWriter): void =>
    void xml.text("Location", location).text("Bucket", bucket.name).text("Key", textOfObjectKey(key)).etag(etag)
  // Scripts in browsers look for elements without a namespace.
  const bytes = xmlDocument("PostResponse", write, { namespace: false })
  return { status: 201, headers: linesOfFields(headers), body: { kind: "document", bytes } }
}
