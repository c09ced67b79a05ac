// Asks the browser for a passkey as soon as the page is there, and sends what it gives.
// The functions come from Flask-Security: base64.js and webauthn.js.
const form = document.querySelector("form[data-passkey]");
// https://www.w3.org/TR/webauthn-3/#sctn-privacy-considerations-client says why browsers tell little.
const REASONS = {
  SecurityError: "Passkeys need a name in the address: open http://localhost with the same port.",
  InvalidStateError: "This device has a passkey of this account already.",
};

function ask(event) {
  event?.preventDefault();
  const hand_over = form.dataset.passkey === "register" ? handleRegister : handleSignin;
  hand_over(form.dataset.options).then((result) => {
    if (result.error_msg) {
      const known = Object.keys(REASONS).find((name) => result.error_msg.includes(name));
      const state = document.getElementById("passkey-state");
      state.setAttribute("role", "alert");
      state.textContent = REASONS[known] ?? "No passkey was given, or none that fits.";
    } else {
      form.elements.credential.value = result.credential;
      form.submit();
    }
  });
}

if (form) {
  form.addEventListener("submit", ask);
  ask();
}
