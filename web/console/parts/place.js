// Where something lies, set by script: the policy of the page forbids style
// attributes, and lit's styleMap begins with one.
//
//   <span class="bar" ${place({ left: "20%", width: "5%" })}></span>

import { nothing } from "lit";
import { Directive, directive, PartType } from "lit/directive.js";

/** Properties of CSS by their names in script. */
export const place = directive(class extends Directive {
  constructor(part) {
    super(part);
    if (part.type !== PartType.ELEMENT) throw new Error("place is for an element");
  }

  update({ element }, [properties]) {
    for (const [name, value] of Object.entries(properties)) element.style[name] = value;
    return nothing;
  }

  render() {
    return nothing;
  }
});
