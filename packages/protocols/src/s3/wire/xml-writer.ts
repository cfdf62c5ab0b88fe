/** Writes the XML documents of S3's answers. */
import { S3_NAMESPACE, XML_DECLARATION, XmlWriter } from "@hayloft/base/text/xml-writer.js"

export { escapeXml, XML_DECLARATION, XmlWriter } from "@hayloft/base/text/xml-writer.js"
export { S3_NAMESPACE as XML_NAMESPACE } from "@hayloft/base/text/xml-writer.js"

interface XmlDocumentOptions {
  /** Off for `<Error>`, which S3 writes without a namespace. */
  readonly namespace?: boolean
  /** Off if the declaration has been sent already. */
  readonly declaration?: boolean
}

/** A whole document as UTF-8. */
export function xmlDocument(
  root: string,
  content: (xml: XmlWriter) => void,
  { namespace = true, declaration = true }: XmlDocumentOptions = {},
): Uint8Array {
  const xml = new XmlWriter().group(root, content, namespace ? `xmlns="${S3_NAMESPACE}"` : "")
  return Buffer.from(`${declaration ? XML_DECLARATION : ""}${xml.toString()}`)
}
