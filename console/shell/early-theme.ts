/**
 * Runs before the first paint, as a script of its own, so that a page in the chosen theme never flashes in the other.
 */
import { applyTheme, storedTheme } from "./theme.js"

applyTheme(storedTheme())
