// Asks the browser for a passkey as soon as the page is there, and sends what it gives.
// The functions come from Flask-Security: base64.js and webauthn.js.
const form = document.querySelector("form[data-passkey]");

function ask(event) {
  event?.preventDefault();
  const hand_over = form.dataset.passkey === "register" ? handleRegister : handleSignin;
  hand_over(form.dataset.options).then((result) => {
    if (result.error_msg) {
      document.getElementById("passkey-state").textContent = result.error_msg;
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
