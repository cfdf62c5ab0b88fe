/** Responses of IAM and STS as XML: a result with its metadata, or an error. */
import { XML_DECLARATION, XmlWriter } from "@hayloft/base/text/xml-writer.js"
import type { PlainAnswer } from "../http/index.js"
import type { IamService, IamResult } from "./action.js"
import type { IamError } from "./failures.js"

export const VERSIONS: Readonly<Record<IamService, string>> = { iam: "2010-05-08", sts: "2011-06-15" }

const namespaceOf = (service: IamService): string =>
  `xmlns="https://${service}.amazonaws.com/doc/${VERSIONS[service]}/"`

const documentAnswer = (status: number, requestId: string, xml: XmlWriter): PlainAnswer => ({
  status,
  headers: ["x-amzn-RequestId", requestId, "Content-Type", "text/xml"],
  body: Buffer.from(`${XML_DECLARATION}${xml.toString()}`),
})

export function resultAnswer(service: IamService, action: string, result: IamResult, requestId: string): PlainAnswer {
  const write = (xml: XmlWriter): void => {
    if (result !== undefined) xml.group(`${action}Result`, result)
    xml.group("ResponseMetadata", metadata => metadata.text("RequestId", requestId))
  }
  return documentAnswer(200, requestId, new XmlWriter().group(`${action}Response`, write, namespaceOf(service)))
}

export function errorAnswer(service: IamService, { status, code, message }: IamError, requestId: string): PlainAnswer {
  const write = (xml: XmlWriter): void => {
    xml.group("Error", error => {
      error
        .text("Type", status < 500 ? "Sender" : "Receiver")
        .text("Code", code)
        .text("Message", message)
    })
    xml.text("RequestId", requestId)
  }
  return documentAnswer(status, requestId, new XmlWriter().group("ErrorResponse", write, namespaceOf(service)))
}
