/** The edges of what scrolls sideways fade where more is hidden. The styles read the two attributes that are set here. */
import { useLayoutEffect, useRef } from "preact/hooks"

/** A part of a pixel may be left of a whole scroll. */
const ROUNDING_PX = 1

function mark(element: HTMLElement): void {
  const { scrollLeft, scrollWidth, clientWidth } = element
  element.toggleAttribute("data-more-before", scrollLeft > ROUNDING_PX)
  element.toggleAttribute("data-more-after", scrollLeft + clientWidth < scrollWidth - ROUNDING_PX)
}

/** Returns the reference of the element that scrolls. */
export function useScrollEdges() {
  const reference = useRef<HTMLDivElement>(null)
  useLayoutEffect(() => {
    const element = reference.current
    if (element === null) return undefined
    const look = () => mark(element)
    const observer = new ResizeObserver(look)
    for (const each of [element, ...element.children]) observer.observe(each)
    element.addEventListener("scroll", look)
    return () => {
      observer.disconnect()
      element.removeEventListener("scroll", look)
    }
  })
  return reference
}
