/** Texts in the markup of Swift's answers, escaped to the byte as Swift does it. Pure. */

/** For the content of an element. */
export const escapedText = (text: string): string =>
  text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;")

/** For an attribute in double quotes, too. */
export const escapedValue = (text: string): string => escapedText(text).replace(/"/g, "&quot;")
