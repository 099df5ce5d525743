export const getServerSideProps = () => ({ props: { service: process.env.CALLER_POPUP_URL } });

export default function Customers() {
  return <h1>Customers</h1>;
}
