/** Reads the XML of S3 responses, of a store that the user has chosen. Throws `BrokenAnswer`. */
import { isFailure } from "@hayloft/base/failures.js"
import { parseXmlLeniently, type XmlElement } from "@hayloft/base/text/xml-reader.js"
import { BrokenAnswer } from "./remote.js"

/** The caller limits the bytes; a listing has some ten elements for each key. */
const LIMITS = { bytesMax: Infinity, elementsMax: 1_000_000, depthMax: 32 }

/** The document's root element. */
export function readXml(text: string): XmlElement {
  try {
    return parseXmlLeniently(text, LIMITS)
  } catch (error) {
    if (!isFailure(error, "malformedXml")) throw error
    throw new BrokenAnswer(`the response is not an XML document: ${String(error.details["message"])}`)
  }
}

/** Text of the first child of that name; undefined if there is none. */
export const textOfChild = (element: XmlElement, name: string): string | undefined =>
  element.children.find(child => child.name === name)?.text
