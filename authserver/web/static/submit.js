// Sends the form of the page on at once. It runs before the page has loaded, so
// that the page is no step in the history that one could go back to. The form's
// own "submit" may be one of its fields.
HTMLFormElement.prototype.submit.call(document.getElementById("continue"));
