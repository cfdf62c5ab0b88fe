/** A picture that shared code has drawn as a tree of elements; it contains its own text alternative. */
import { h, type ComponentChild } from "preact"
import type { SvgElement } from "@hayloft/admin/charts/index.js"

export const Svg = ({ picture }: { readonly picture: SvgElement }) => <>{rendered(picture)}</>

function rendered({ tag, attributes, children }: SvgElement): ComponentChild {
  return h(tag, attributes, ...children.map(child => (typeof child === "string" ? child : rendered(child))))
}
